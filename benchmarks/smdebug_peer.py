"""A SageMaker Debugger trial read by us and by smdebug itself: every tensor, step and value.

    python benchmarks/smdebug_peer.py [TRIAL]

smdebug 1.0.34 needs Python 3.11 or older and an environment of its own: ``SMDEBUG_PYTHON`` names the interpreter of
one, else it is installed below a temporary folder (about a minute). Prints one figure a line: ``records_read``,
``values_equal`` (how many of the peer's values we read to the last bit), ``values_total`` and ``peer_installed``.
Exit code 1 where one differs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from convergence_cli.errors import SourceError
from convergence_cli.readers._smdebug_index import open_saved, records
from convergence_cli.readers._smdebug_trial import open_trial

REQUIREMENTS = ("smdebug==1.0.34", "requests", "pandas", "psutil", "numpy>=2", "protobuf==3.20.3")
Values = dict[str, np.ndarray]

# Runs under smdebug: all that its reader gives, as arrays named worker, step, mode and tensor.
PEER = """
import sys
import numpy as np
from smdebug.trials import create_trial
from smdebug.core.modes import ModeKeys
trial = create_trial(sys.argv[1])
found = {}
for name in trial.tensor_names():
    tensor = trial.tensor(name)
    for step in tensor.steps():
        mode, worker = trial.mode(step).name, None
        for worker in tensor.workers(step):
            try:
                value = np.asarray(tensor.value(step, worker=worker))
                found["|".join((worker, str(step), mode, name))] = value
            except Exception:
                pass
            for key, one in (tensor.reduction_values(step, worker=worker) or {}).items():
                red, absolute = key
                label = "smdebug/reductions/" + ("abs_" if absolute else "") + red + "/" + name
                found["|".join((worker, str(step), mode, label))] = np.asarray(one)
np.savez(sys.argv[2], **{str(i): value for i, value in enumerate(found.values())},
         names=np.array(list(found), dtype="U"))
"""


def ours(root: Path) -> Values:
    """Every numeric record of the trial; of those with one name in one step, the last."""
    trial = open_trial(root)
    found: Values = {}
    for saved in trial.saved:
        for record in records(trial, open_saved(trial, saved)):
            message = record.message
            if not message.dtype:
                continue
            mode = record.mode.upper() or "GLOBAL"
            with record.source.open_raw() as handle:
                handle.seek(record.offset)
                values = np.frombuffer(handle.read(message.length), message.dtype).reshape(message.shape)
            found["|".join((saved.worker, str(saved.step), mode, message.name))] = values
    for note in trial.troubles.notes():
        print(f"note: {note}", file=sys.stderr)
    return found


def peer(python: str, root: Path, folder: Path) -> Values:
    """What smdebug reads."""
    target = folder / "peer.npz"
    subprocess.run([python, "-c", PEER, str(root.resolve()), str(target)], check=True, capture_output=True, text=True)
    with np.load(target, allow_pickle=False) as saved:
        return {str(name): saved[str(i)] for i, name in enumerate(saved["names"])}


def interpreter(folder: Path) -> str | None:
    """A Python that has smdebug, installed now where none is named; None where that cannot be had."""
    if named := os.environ.get("SMDEBUG_PYTHON"):
        return named
    base = shutil.which("python3.11") or (sys.executable if sys.version_info < (3, 12) else None)
    if base is None:
        return None
    python = str(folder / "venv" / "bin" / "python")
    for command in ([base, "-m", "venv", str(folder / "venv")], [python, "-m", "pip", "install", "-q", *REQUIREMENTS]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(done.stderr[-2000:], file=sys.stderr)
            return None
    return python


def main() -> int:
    """Read the trial twice and compare."""
    root = Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/samples/smdebug_trial")
    try:
        mine = ours(root)
    except SourceError as error:
        print(f"{error}\nUsage: smdebug_peer.py [TRIAL FOLDER]", file=sys.stderr)
        return 2
    print(f"records_read {len(mine)}")
    with tempfile.TemporaryDirectory() as folder:
        python = interpreter(Path(folder))
        print(f"peer_installed {int(python is not None)}")
        if python is None:
            return 0
        theirs = peer(python, root, Path(folder))
    differing = [name for name, value in theirs.items() if name not in mine or not _same(mine[name], value)]
    print(f"values_equal {len(theirs) - len(differing)}")
    print(f"values_total {len(theirs)}")
    for name in [*differing[:10], *sorted(mine.keys() - theirs.keys())[:10]]:
        print(f"differs: {name}", file=sys.stderr)
    return 1 if differing or mine.keys() - theirs.keys() else 0


def _same(left: np.ndarray, right: np.ndarray) -> bool:
    return left.shape == right.shape and np.array_equal(left, right, equal_nan=left.dtype.kind == "f")


if __name__ == "__main__":
    sys.exit(main())

"""The closed loop on one faulty run: diagnose, apply a remedy, train again, diagnose again, judge; with a cache."""

from __future__ import annotations

import hashlib
import json
import math
import random
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convergence_cli.as_of import as_of
from convergence_cli.pipeline import diagnose, read_paths, read_run
from convergence_cli.settings import Settings
from zoo.catalogue import Specimen
from zoo.examples import axis_scale
from zoo.metric import Watch, best_evaluation
from zoo.remedying import apply
from zoo.specimen import truth_of
from zoo.training import train
from zoo.twin import Twin, twin_of
from zoo.writing import write

if TYPE_CHECKING:
    from convergence_cli.model import Run, RunReport
    from zoo.log import Log

FAILING = frozenset({"diverging", "stuck", "overfitting"})
# What a user who knows nothing of the run might try.
RANDOM: tuple[dict[str, Any], ...] = (
    {"learning_rate": 1e-4}, {"learning_rate": 1e-3}, {"learning_rate": 1e-2}, {"learning_rate": 0.1},
    {"optimizer": "SGD"}, {"optimizer": "Adam"}, {"batch_size": 16}, {"batch_size": 64}, {"batch_size": 256},
    {"lr_schedule": "cosine"}, {"lr_schedule": "constant"}, {"warmup_steps": 100}, {"gradient_clip_norm": 1.0},
    {"activation": "relu", "weight_init": "he"}, {"activation": "leaky_relu"}, {"weight_init": "xavier"},
    {"normalization": "layer"}, {"normalization": "batch"}, {"residual": True}, {"dropout": 0.2},
    {"weight_decay": 0.01}, {"early_stopping": 5}, {"data_augmentation": True}, {"class_weight": "balanced"},
    {"input_normalization": "standard"}, {"target_normalization": "standard"},
)  # fmt: skip
_HERE, _PACKAGE = Path(__file__).parent, Path(diagnose.__code__.co_filename).parent
# What decides how a training goes, and what decides which symptoms a log has: a cached result holds for these alone.
_TRAINS = [_HERE / f"{name}.py" for name in (
    "plan", "building", "training", "faults", "more_faults", "catalogue", "data", "writing", "metric", "twin",
    "mending", "remedying", "resuming", "remedy_data", "remedy_model", "remedy_steps",
)]  # fmt: skip
_LOOKS = ("features", "rules", "readers", "tensors", "recorder")


@dataclass(frozen=True, slots=True)
class Look:
    """The symptoms of a report: a failing verdict ('' for none) and the rules of warnings and errors."""

    verdict: str
    rules: tuple[str, ...]

    def is_cured_by(self, after: Look) -> bool:
        """Whether a run fails no longer if it did, and no finding is left that was there."""
        return not (self.verdict and after.verdict) and not set(self.rules) & set(after.rules)

    @property
    def is_clear(self) -> bool:
        """Whether nothing is wrong to see."""
        return not self.verdict and not self.rules


@dataclass(slots=True)
class Outcome:
    """What became of one faulty run. ``remedies``: for each that was tried whether it repaired, by their order.

    ``metric_alone``: whether the faulty run is as good as its twin; ``no_change``: and shows no symptom.
    """

    name: str
    kind: str
    severity: int
    twin_learns: bool
    metric_alone: bool
    no_change: bool
    names: list[str] = field(default_factory=list)
    remedies: list[bool] = field(default_factory=list)
    random: bool = False
    ladder: list[bool] = field(default_factory=list)


def digest_of() -> tuple[str, str]:
    """What the trainings of the zoo, and the symptoms that are seen in them, depend on, each as a short hash."""
    lab = Path(__file__).parents[2] / "tests" / "lab" / "models.py"
    trains = hashlib.sha256(b"".join(path.read_bytes() for path in [*_TRAINS, lab])).hexdigest()[:16]
    sources = sorted(
        path for part in _LOOKS for path in (_PACKAGE / part).rglob("*") if path.suffix in (".py", ".json")
    )
    looks = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    return trains, f"{trains}-{looks}"


class Cache:
    """Results for one run in a JSON file of ``root``, written at once: an interrupted benchmark goes on."""

    def __init__(self, root: Path, name: str) -> None:
        self.path = root / f"{name}.json"
        self.held: dict[str, Any] = json.loads(self.path.read_text()) if self.path.exists() else {}

    def get(self, what: object, digest: str) -> Any:
        """The result of ``what`` under ``digest``; None where there is none."""
        found = self.held.get(_key(what), {})
        return found.get("result") if found.get("digest") == digest else None

    def put(self, what: object, digest: str, result: object) -> None:
        """Keeps a result; that of another digest is replaced."""
        self.held[_key(what)] = {"digest": digest, "result": result}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(self.held))
        new.replace(self.path)


def _key(what: object) -> str:
    return json.dumps(what, sort_keys=True)


def run_of(folder: Path) -> Run:
    """The log of a run in ``run``, with the tensors that our recorder left in ``recorded``."""
    log = read_run(folder / "run")
    runs = read_paths([str(folder / "recorded")], Settings())[0] if (folder / "recorded").exists() else []
    return replace(log, tensors=runs[0].tensors) if runs else log


def look_at(report: RunReport) -> Look:
    """The symptoms of ``report``."""
    rules = sorted({one.rule for one in report.findings if one.severity != "note"})
    return Look(report.verdict.label if report.verdict.label in FAILING else "", tuple(rules))


class Loop:
    """All that is done with one faulty run in ``folder``, with results kept in ``cache``."""

    def __init__(self, folder: Path, cache: Path, digests: tuple[str, str]) -> None:
        kind, _, number = folder.name.rpartition("-")
        seed = json.loads((folder.parent / "zoo.json").read_text())["seed"]
        self.specimen, self.cache, self.digests = Specimen(kind, int(number), seed), Cache(cache, folder.name), digests
        run = run_of(folder)
        self.report = diagnose(run)
        self.before = look_at(self.report)
        scale = axis_scale(run, truth_of(folder))
        self.hints = {"steps_per_unit": 1 / scale if scale > 0 else 1.0}
        self.twin = Twin(**self._kept("twin", self.digests[0], lambda: asdict(twin_of(self.specimen))))

    def end_without_change(self) -> float:
        """The metric of the faulty training as it is."""
        return _number(self._kept("faulty", self.digests[0], self._faulty))

    def repairs(self, change: Mapping[str, Any]) -> bool:
        """Whether the training with ``change`` is as good as the twin, and shows no symptom of the faulty one."""
        end, verdict, rules = self._kept({**change}, self.digests[1], lambda: self._tried(change))
        return self.twin.is_matched_by(_number(end)) and self.before.is_cured_by(Look(verdict, tuple(rules)))

    def _kept(self, what: object, digest: str, made: Any) -> Any:
        found = self.cache.get(what, digest)
        if found is None:
            found = made()
            self.cache.put(what, digest, found)
        return found

    def _faulty(self) -> float:
        applied = apply(self.specimen, {})
        watch = Watch(applied)
        return watch.end(train(applied.training)[0])

    def _tried(self, change: Mapping[str, Any]) -> tuple[float, str, tuple[str, ...]]:
        try:
            applied = apply(self.specimen, change, self.hints)
        except ValueError:
            # What cannot be applied repairs nothing; a key that is unknown is a mistake of ours, and tests find it.
            return math.inf, "stuck", ()
        watch = Watch(applied)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            log, _ = train(applied.training, folder / "recorded")
            write(log, folder / "run", "csv")
            run = run_of(folder)
            # What came after the best evaluation is not in the model that is kept.
            kept = as_of(run, best_evaluation(log) * _units(run, log)) if applied.stops_early else run
            look = look_at(diagnose(kept))
        return watch.end(log), look.verdict, look.rules


def _units(run: Run, log: Log) -> float:
    """Units of the axis of ``run`` in a step: 1, or less where its log counts epochs."""
    last = max((float(curve.step[-1]) for curve in run.curves if curve.role in ("train_loss", "val_loss")), default=0.0)
    return last / log.last_step if last < 0.5 * log.last_step else 1.0


def _number(value: Any) -> float:
    return float(value)


def outcome_of(folder: Path, cache: Path, digests: tuple[str, str], remedies: int, seed: int) -> Outcome:
    """The first ``remedies`` in turn until one repairs, and the baselines, for the faulty run in ``folder``."""
    import torch

    torch.set_num_threads(1)
    loop = Loop(folder, cache, digests)
    specimen, matched = loop.specimen, loop.twin.is_matched_by(loop.end_without_change())
    found = Outcome(folder.name, specimen.kind, specimen.severity or 0, loop.twin.learns, matched,
                    matched and loop.before.is_clear)  # fmt: skip
    for remedy in loop.report.remedies[:remedies]:
        found.names.append(remedy.name)
        found.remedies.append(bool(remedy.change) and loop.repairs(remedy.change))
        if found.remedies[-1]:
            break
    found.random = loop.repairs(random.Random(f"{seed}/{folder.name}").choice(RANDOM))
    for change in ladder_of(specimen):
        found.ladder.append(loop.repairs(change))
        if found.ladder[-1]:
            break
    return found


def ladder_of(specimen: Specimen) -> tuple[dict[str, Any], ...]:
    """Halve the learning rate; Adam, at the rate that it has by default; batch normalisation."""
    rate = apply(specimen, {}).training.learning_rate
    return {"learning_rate": rate / 2}, {"optimizer": "Adam", "learning_rate": 1e-3}, {"normalization": "batch"}

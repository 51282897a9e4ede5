from __future__ import annotations

import gc
import math
import os
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from convergence_cli.errors import SourceError
from convergence_cli.tensors import read
from convergence_cli.tensors.find import find_dumps
from convergence_cli.tensors.names import named
from convergence_cli.tensors.read import read_dumps
from convergence_cli.tensors.stored import Dump, left_out
from convergence_cli.tensors.unit_axis import Widths, unit_axis

if TYPE_CHECKING:
    from convergence_cli.tensor_stats import TensorRow, TensorStats


def saved(folder: Path, step: int, suffix: str = "", **arrays: np.ndarray) -> Path:
    (folder / "tensors").mkdir(parents=True, exist_ok=True)
    path = folder / "tensors" / f"step_{step}{suffix}.npz"
    np.savez(path, **{key.replace("__", "/"): array for key, array in arrays.items()})
    return path


def read_run(folder: Path, config: dict[str, object] | None = None) -> TensorStats:
    (one,) = find_dumps(folder)
    return read_dumps(one.dumps, config)


def row(stats: TensorStats, kind: str, name: str, step: float = 1, worker: str = "", mode: str = "") -> TensorRow:
    (found,) = [
        one
        for one in stats.rows()
        if (one.kind, one.name, one.step, one.worker, one.mode) == (kind, name, step, worker, mode)
    ]
    return found


def test_a_training_of_torch_is_measured_and_compared_with_the_step_before(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    kept: dict[int, dict[str, torch.Tensor]] = {}
    (tmp_path / "tensors").mkdir()
    for step in (10, 20):
        x, y = torch.randn(40, 6), torch.arange(40) % 3
        hidden = model[:2](x)
        logits = model[2](hidden)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(logits, y).backward()
        optimizer.step()
        kept[step] = {name: one.detach().clone() for name, one in model.named_parameters()}
        content = {f"weight/{name}": one for name, one in model.state_dict().items()}
        content |= {f"gradient/{name}": one.grad for name, one in model.named_parameters()}
        content |= {"activation/relu1": hidden, "input/x": x, "label/y": y, "output/logits": logits}
        torch.save(content, tmp_path / "tensors" / f"step_{step:06d}.pt")
    stats = read_run(tmp_path)
    assert stats.trusted_order
    assert stats.notes == ()
    assert len(stats) == 24
    weight, former = kept[20]["0.weight"], kept[10]["0.weight"]
    found = row(stats, "weight", "0.weight", 20)
    assert (found.layer, found.dtype, found.shape, found.order) == ("0", "float32", (5, 6), 0)
    assert found.mean == pytest.approx(weight.double().mean().item(), rel=1e-4)
    assert found.change == pytest.approx((weight - former).double().norm().item(), rel=1e-4)
    assert (found.change_steps, found.changed, found.close) == (10, 1, 0)
    assert math.isnan(row(stats, "weight", "0.weight", 10).change)
    assert row(stats, "activation", "relu1", 20).function == "relu"
    assert row(stats, "activation", "relu1", 20).units == 5
    assert stats.labels[0].values == (0, 1, 2)
    assert stats.confusions[1].matrix.sum() == 40
    path = tmp_path / "tensors" / "step_000020.pt"
    assert (found.file, found.time) == (str(path), pytest.approx(os.stat(path).st_mtime))


def test_weights_are_compared_within_one_worker_and_mode(tmp_path: Path) -> None:
    for step, value in ((1, 1.0), (2, 2.0)):
        for worker in (0, 1):
            saved(tmp_path, step, f"_rank{worker}", **{"weight__w": np.full(4, value * (1 + 9 * worker))})
        saved(tmp_path, step, "_eval", **{"weight__w": np.full(4, 7.0)})
    stats = read_run(tmp_path)
    assert row(stats, "weight", "w", 2, "0").change == pytest.approx(2)
    assert row(stats, "weight", "w", 2, "1").change == pytest.approx(20)
    unchanged = row(stats, "weight", "w", 2, "", "eval")
    assert (unchanged.change, unchanged.changed, unchanged.close) == (0, 0, 1)


def test_weights_are_compared_over_dumps_without_them_and_not_across_shapes(tmp_path: Path) -> None:
    saved(tmp_path, 1, weight__w=np.ones(4), weight__v=np.ones(4))
    saved(tmp_path, 2, gradient__w=np.ones(4))
    saved(tmp_path, 5, weight__w=np.zeros(4), weight__v=np.ones((2, 2)))
    stats = read_run(tmp_path)
    assert (row(stats, "weight", "w", 5).change, row(stats, "weight", "w", 5).change_steps) == (2, 4)
    assert math.isnan(row(stats, "weight", "v", 5).change_steps)


def test_what_cannot_be_read_is_noted_once_with_its_count(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        saved(
            tmp_path,
            step,
            weight__w=np.ones(3),
            gradient__z=np.ones(3, dtype=complex),
            gradient__y=np.ones(3, dtype=complex),
            strange=np.ones(3),
        )
    notes = read_run(tmp_path).notes
    assert len(notes) == 2
    first = tmp_path / "tensors" / "step_1.npz"
    assert f"left out 6 tensors: complex numbers are not read; the first is gradient/z in {first}" in notes
    assert any(note.startswith("left out 3 tensors: no kind in the name") for note in notes)


def test_a_damaged_tensor_costs_only_itself(tmp_path: Path) -> None:
    path = saved(tmp_path, 1, weight__a=np.random.default_rng(0).standard_normal(5000), weight__b=np.ones(3))
    data = bytearray(path.read_bytes())
    data[20_000] ^= 0x55
    path.write_bytes(data)
    stats = read_run(tmp_path)
    assert list(stats.text("name")) == ["b"]
    assert "checksum" in stats.notes[0]


def test_the_newest_dump_may_still_be_written_and_older_ones_may_be_damaged(tmp_path: Path) -> None:
    saved(tmp_path, 1, weight__w=np.ones(3))
    for step in (2, 3, 9):
        path = saved(tmp_path, step, weight__w=np.ones(3))
        path.write_bytes(path.read_bytes()[:-40])
    stats = read_run(tmp_path)
    assert stats.steps.tolist() == [1]
    newest, older = stats.notes
    assert newest.startswith("the newest dump was not read")
    assert "still being written" in newest
    assert older.startswith("2 dumps could not be read; the first: ")


def test_no_readable_dump_is_an_error_that_says_why(tmp_path: Path) -> None:
    path = saved(tmp_path, 1, weight__w=np.ones(3))
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(SourceError, match="still being written"):
        read_run(tmp_path)
    saved(tmp_path, 1, arr_0=np.ones(3))
    with pytest.raises(SourceError, match="no kind in the name"):
        read_run(tmp_path)
    with pytest.raises(SourceError, match="No tensor was read from 0 dumps"):
        read_dumps([])


def test_odd_tensors_have_a_row(tmp_path: Path) -> None:
    saved(
        tmp_path,
        1,
        gradient__nan=np.full((3, 4), np.nan),
        gradient__empty=np.empty((0, 4)),
        gradient__scalar=np.float64(2.0),
        activation__big=np.arange(12, dtype=">f8").reshape(3, 4),
    )
    stats = read_run(tmp_path)
    assert row(stats, "gradient", "nan").nan == 12
    assert row(stats, "gradient", "empty").count == 0
    assert row(stats, "gradient", "scalar").mean == 2
    assert row(stats, "activation", "big").max == 11


def test_of_two_spellings_of_one_tensor_the_first_is_read(tmp_path: Path) -> None:
    saved(tmp_path, 1, **{"weight__fc.weight": np.ones(3), "fc.weight": np.zeros(3)})
    stats = read_run(tmp_path)
    assert row(stats, "weight", "fc.weight").mean == 1
    assert "has the same name" in stats.notes[0]


def test_the_config_names_the_function_of_a_module_called_activation(tmp_path: Path) -> None:
    saved(tmp_path, 1, activation__act=np.ones((3, 2)), activation__fc1=np.ones((3, 2)))
    stats = read_run(tmp_path, {"hidden_act": "gelu"})
    assert row(stats, "activation", "act").function == "gelu"
    assert row(stats, "activation", "fc1").function == ""


def test_a_sorted_layout_is_not_trusted_for_order(tmp_path: Path) -> None:
    for name in ("fc1", "fc2"):
        (tmp_path / "1" / "weight").mkdir(parents=True, exist_ok=True)
        np.save(tmp_path / "1" / "weight" / f"{name}.npy", np.ones(3))
    assert not read_run(tmp_path).trusted_order


def test_the_caps_leave_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for step in (1, 2, 3):
        saved(tmp_path, step, weight__a=np.ones(3), weight__b=np.ones(3), weight__c=np.ones(3))
    monkeypatch.setattr(read, "MAX_TENSORS", 2)
    monkeypatch.setattr(read, "MAX_ROWS", 3)
    stats = read_run(tmp_path)
    assert len(stats) == 4
    assert any("read 2 of 3 tensors" in note for note in stats.notes)
    assert any("steps from 3 on were not read" in note for note in stats.notes)


def test_names_from_the_file_are_escaped_in_notes() -> None:
    dump = Dump(1, "a\x1b[31m.npz", lambda: [left_out("evil\x1b]0;x\x07", "it is odd")])
    with pytest.raises(SourceError) as caught:
        read_dumps([dump])
    assert caught.value.message.isprintable()


def test_memory_stays_flat_whatever_the_size(tmp_path: Path) -> None:
    for step in (1, 2):
        saved(tmp_path, step, weight__w=np.full((2500, 2000), step, dtype=np.float64))
    gc.collect()
    tracemalloc.start()
    stats = read_run(tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert row(stats, "weight", "w", 2).changed == 1
    assert peak < 30 << 20 < 2500 * 2000 * 8


def widths(**weights: tuple[int, ...]) -> Widths:
    known = Widths()
    known.learn((named(f"weight/{layer}.weight"), shape) for layer, shape in weights.items())
    return known


@pytest.mark.parametrize(
    ("key", "shape", "known", "axis"),
    [
        ("activation/relu", (), {}, None),
        ("activation/relu", (8,), {}, None),
        ("activation/relu", (8, 20), {}, 1),
        ("activation/relu", (8, 7, 20), {}, 2),
        ("activation/relu", (8, 16, 5, 5), {}, 1),
        ("activation/fc1", (8, 7, 20), {"fc1": (20, 10)}, 2),
        ("activation/conv1", (8, 16, 50), {"conv1": (16, 3, 5)}, 1),
        ("activation/relu", (8, 16, 50), {"conv1": (16, 3, 5)}, 1),
        ("activation/relu", (8, 16, 50), {"conv1": (16, 3, 5), "fc": (3, 50)}, 2),
        ("activation/relu", (8, 5, 5, 16), {"conv1": (3, 3, 4, 16)}, 3),
        ("activation/relu", (8, 16, 5, 5), {"conv1": (16, 4, 3, 3)}, 1),
        ("input/x", (8, 3, 32, 32), {"conv1": (16, 3, 5, 5)}, 1),
        ("output/logits", (8, 10), {}, 1),
        ("label/y", (8, 10), {}, None),
        ("weight/fc.weight", (8, 10), {}, 0),
        ("gradient/dense/kernel", (8, 10), {}, 1),
    ],
)
def test_units_lie_along_the_axis_that_is_as_long_as_a_layer_is_wide(
    key: str, shape: tuple[int, ...], known: dict[str, tuple[int, ...]], axis: int | None
) -> None:
    assert unit_axis(named(key), shape, widths(**known)) == axis


def test_units_of_a_kernel_lie_along_its_last_axis(tmp_path: Path) -> None:
    # Pixels that are black in the whole batch leave rows of zeros in the gradient of Keras and Flax: no unit is dead.
    gradient = np.random.default_rng(0).standard_normal((10, 6)).astype(np.float32)
    gradient[:8] = 0
    saved(tmp_path, 1, gradient__dense__kernel=gradient, gradient__fc__weight=gradient.T.copy())
    gradient[:, 3:] = 0
    saved(tmp_path, 2, gradient__dense__kernel=gradient, gradient__fc__weight=gradient.T.copy())
    stats = read_run(tmp_path)
    for name in ("dense.kernel", "fc.weight"):
        assert [(one.units, one.dead) for one in stats.rows() if one.name == name] == [(6, 0), (6, 0.5)]

"""Rows against the tensors themselves, measured by plain numpy in float64."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from recorder.reading import Record
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from convergence_cli import Recorder
from convergence_cli.recorder.captured import SAMPLE, Label, Measured
from convergence_cli.recorder.lines import histogram, line, number
from convergence_cli.recorder.reductions import (
    SMALL,
    UPDATE_VALUES,
    fetch,
    flat,
    pack,
    strided,
    take,
    take_output,
    take_scaled,
    unpack,
)
from convergence_cli.recorder.tensor_lines import Known, checksum, lines_of
from convergence_cli.tensor_stats import QUANTILES

Array = npt.NDArray[np.float64]


def naive(values: Array) -> dict[str, Any]:
    known = values[np.isfinite(values)]
    return {
        "mean": known.mean(),
        "std": known.std(),
        "min": known.min(),
        "max": known.max(),
        "zero": int((values == 0).sum()),
        "nan": int(np.isnan(values).sum()),
        "inf": int(np.isinf(values).sum()),
        "abs": np.abs(known).mean(),
        "q": np.quantile(known, QUANTILES),
    }


def row_of(label: Label, tensor: Tensor, *, output: bool = False) -> dict[str, Any]:
    """The row that is written of ``tensor``."""
    found = take_output(label, tensor) if output else take(label, tensor)
    assert found is not None
    lines = [json.loads(text) for text in lines_of(Known(), 1, 0.0, fetch([found])())]
    return next(one for one in lines if "tensor" in one)


def weight(tensor: Tensor, kind: str = "weight") -> Label:
    return Label(
        kind, "w", "", tuple(tensor.shape), "float32", 0, "", 0 if tensor.dim() > 1 and kind != "update" else None
    )


def assert_alike(row: dict[str, Any], values: Array, *, exact: bool) -> None:
    # What passes through the model is told from some thousand values, but for its extremes.
    spread = 0.04 if row["tensor"].startswith(("activation", "input", "output")) else 2e-3
    expected = naive(values)
    scale = max(abs(expected["min"]), abs(expected["max"]), 1e-300)
    middle = 2e-6 * scale if exact else 0.06 * expected["std"] + 2e-6 * scale
    assert row["mean"] == pytest.approx(expected["mean"], rel=1e-3, abs=middle)
    assert row["std"] == pytest.approx(expected["std"], rel=1e-4 if exact else spread, abs=1e-12 * scale)
    assert row["min"] == pytest.approx(expected["min"], rel=1e-4)
    assert row["max"] == pytest.approx(expected["max"], rel=1e-4)
    assert row.get("zero", 0) == pytest.approx(expected["zero"], abs=0 if exact else 0.02 * values.size)
    if "abs" in row:
        assert row["abs"] == pytest.approx(expected["abs"], rel=1e-3 if exact else 0.25)
    if exact:
        assert row["q"] == pytest.approx(expected["q"].tolist(), rel=1e-3, abs=1e-4 * scale)
    else:
        near = 1e-4 * np.abs(row["q"])
        below = [(values < value - margin).mean() for value, margin in zip(row["q"], near, strict=True)]
        most = [(values <= value + margin).mean() for value, margin in zip(row["q"], near, strict=True)]
        for low, q, high in zip(below, QUANTILES, most, strict=True):
            assert low - 0.05 <= q <= high + 0.05


SHAPES = [(7,), (64, 32), (16, 8, 3, 3), (300, 200), (256, 64, 3, 3), (SMALL + 1,), (70_000,)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["weight", "gradient", "update"])
@pytest.mark.parametrize("how", ["normal", "shifted", "tiny", "huge", "sparse", "uniform"])
def test_parameters(shape: tuple[int, ...], kind: str, how: str) -> None:
    generator = torch.Generator().manual_seed(1)
    values = torch.randn(shape, generator=generator)
    if how == "shifted":
        values = values + 1000
    elif how == "tiny":
        values = values * 1e-25
    elif how == "huge":
        values = values * 1e25
    elif how == "sparse":
        values = torch.where(torch.rand(shape, generator=generator) < 0.9, 0.0, values)
    elif how == "uniform":
        values = torch.full(shape, 0.5)
    row = row_of(weight(values, kind), values)
    sampled = how in ("shifted", "tiny", "huge") and values.numel() > SMALL
    if sampled:
        # Where sums in float32 break the spread is that of the sample.
        expected = naive(values.double().numpy())
        assert row["std"] == pytest.approx(expected["std"], rel=0.05)
        assert row["mean"] == pytest.approx(expected["mean"], rel=1e-3, abs=0.1 * expected["std"])
        return
    assert_alike(row, values.double().numpy(), exact=values.numel() <= SMALL)


@pytest.mark.parametrize("shape", [(40, 30), (300, 200)])
def test_rows_without_any_value_and_copies_are_found(shape: tuple[int, int]) -> None:
    values = torch.randn(shape)
    values[: shape[0] // 4] = 0
    assert row_of(weight(values, "gradient"), values)["dead"] == pytest.approx(0.25, abs=0.01)
    copies = torch.randn(1, shape[1]).expand(shape).contiguous()
    row = row_of(weight(copies), copies)
    assert row["twin"] == 1
    assert row["var"] == pytest.approx(0, abs=1e-6)
    columns = torch.randn(shape[0], 1).expand(shape).contiguous()
    assert row_of(weight(columns), columns)["twin"] == 1
    row = row_of(weight(torch.randn(shape)), torch.randn(shape))
    assert row["twin"] == 0
    assert row["var"] > 0.8


@pytest.mark.parametrize("shape", [(40, 30), (300, 200)])
def test_values_that_are_not_finite_are_counted(shape: tuple[int, int]) -> None:
    values = torch.randn(shape)
    values[0] = math.nan
    values[1] = math.inf
    values[2] = -math.inf
    row = row_of(weight(values, "gradient"), values)
    assert row["nan"] == pytest.approx(shape[1], rel=0.3)
    assert row["inf"] == pytest.approx(2 * shape[1], rel=0.3)
    assert row["neg"] == pytest.approx(shape[1], rel=0.3)
    assert row["mean"] == pytest.approx(0, abs=0.1)
    everything = torch.full(shape, math.nan)
    row = row_of(weight(everything), everything)
    assert row["nan"] == values.numel()
    assert "mean" not in row


def test_one_value_among_many_that_is_not_finite_is_told() -> None:
    for value, key in ((math.nan, "nan"), (math.inf, "inf"), (-math.inf, "inf")):
        values = torch.randn(300, 200)
        values[17, 3] = value
        assert row_of(weight(values, "gradient"), values)[key] >= 1


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float64, torch.complex64])
@pytest.mark.parametrize("shape", [(40, 30), (300, 200)])
def test_other_types(kind: torch.dtype, shape: tuple[int, int]) -> None:
    from convergence_cli.recorder.reductions import local

    values = local(torch.randn(shape).to(kind))
    expected = values.double().numpy()
    assert_alike(row_of(weight(values, "update"), values), expected, exact=values.numel() <= SMALL)


def test_a_change_of_a_single_bit_changes_the_checksum() -> None:
    for shape in ((40, 30), (300, 200)):
        values = torch.randn(shape)
        before = row_of(weight(values), values)["bits"]
        assert row_of(weight(values), values)["bits"] == before
        values.view(torch.int32)[3, 5] ^= 1
        assert row_of(weight(values), values)["bits"] != before
    assert checksum(np.arange(4, dtype=np.float32)) == int(np.arange(4, dtype=np.float32).view(np.int32).sum())


def test_an_update_of_a_large_tensor_is_told_from_a_part() -> None:
    torch.manual_seed(0)
    size = (1500, 1000)
    update = torch.randn(size) * 1e-3 * torch.rand(size[0], 1)
    label = weight(update, "update")
    part = strided(update, UPDATE_VALUES)
    assert UPDATE_VALUES / 2 < part.numel() <= update.numel()
    lines = [
        json.loads(text) for text in lines_of(Known(), 1, 0.0, fetch([take_scaled(label, part, update.numel())])())
    ]
    row = lines[-1]
    expected = naive(update.double().numpy())
    assert row["std"] == pytest.approx(expected["std"], rel=5e-3)
    assert row["abs"] == pytest.approx(expected["abs"], rel=0.06)
    assert "n" not in row


@pytest.mark.parametrize(
    ("shape", "axis"),
    [((64, 20), 1), ((300, 400), 1), ((16, 8, 40, 40), 1), ((8, 128, 256), 2), ((4, 3, 224, 224), 1), ((2, 50_000), 1)],
)
def test_activations_have_all_their_units(shape: tuple[int, ...], axis: int) -> None:
    torch.manual_seed(0)
    values = torch.relu(torch.randn(shape))
    moved = values.movedim(axis, 0)
    units = shape[axis]
    moved[: units // 4] = 0
    label = Label("activation", "relu", "relu", shape, "float32", 0, "relu", axis)
    row = row_of(label, values, output=True)
    assert row["dead"] == pytest.approx(units // 4 / units, abs=0.02 if shape[0] > 2 else 0.3)
    assert row["mean"] == pytest.approx(float(values.double().mean()), rel=0.03)
    assert row["max"] == pytest.approx(float(values.max()), rel=1e-4)
    assert row.get("n", math.prod(shape)) == math.prod(shape)
    assert row["zero"] == pytest.approx(int((values == 0).sum()), rel=0.03)


def test_saturated_units() -> None:
    torch.manual_seed(0)
    values = torch.randn(256, 500)
    values[:, :100] *= 1e6
    label = Label("activation", "tanh", "tanh", (256, 500), "float32", 0, "tanh", 1)
    row = row_of(label, torch.tanh(values), output=True)
    assert row["sat"] == pytest.approx(0.2, abs=0.02)


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 2, 3, 1), (3, 1, 0, 2)])
def test_the_order_of_memory_does_not_matter(order: tuple[int, ...]) -> None:
    values = torch.randn(6, 5, 4, 3).permute(order)
    assert torch.equal(flat(values).sort().values, values.reshape(-1).sort().values)
    assert flat(values).data_ptr() == values.data_ptr()


def test_bytes_come_back_as_they_were_packed() -> None:
    tensors = [
        torch.randn(3, 4),
        torch.tensor(7, dtype=torch.int64),
        torch.randint(0, 9, (5,), dtype=torch.uint8),
        torch.randn(2, 2).double(),
        torch.randn(0),
        torch.tensor([True, False, True]),
        torch.randint(-9, 9, (3,), dtype=torch.int16),
    ]
    arrays = unpack(pack(tensors), tensors)
    assert all(np.array_equal(array, tensor.numpy()) for array, tensor in zip(arrays, tensors, strict=True))
    assert [array.dtype for array in arrays] == [tensor.numpy().dtype for tensor in tensors]


def test_histograms_keep_shares() -> None:
    values = np.concatenate([np.zeros(900), np.linspace(-1, 1, 100)])
    digits = histogram(values, -1.0, 1.0)
    assert len(digits) == 16
    shares = np.array([int(digit, 36) for digit in digits]) ** 2 / 35**2
    expected = np.histogram(values, 16, (-1, 1))[0] / 1000
    assert shares == pytest.approx(expected, abs=0.03)
    assert histogram(values, 1.0, 1.0) == ""
    assert histogram(np.array([math.nan]), 0.0, 1.0) == ""


def test_numbers_that_json_lacks_are_words() -> None:
    assert [number(value) for value in (1.5, math.nan, math.inf, -math.inf)] == [1.5, "NaN", "Infinity", "-Infinity"]
    assert line({"step": 1, "loss": number(math.nan)}) == b'{"step":1,"loss":"NaN"}\n'


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.relu1, self.fc2 = nn.Linear(20, 200), nn.ReLU(), nn.Linear(200, 120)
        self.out = nn.Linear(120, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.tanh(self.fc2(self.relu1(self.fc1(x)))))


def test_rows_of_a_training_are_those_of_its_raw_tensors(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Net()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    with Recorder(model, optimizer, out=tmp_path, every=4, raw=["*"]) as recorder:
        for _ in range(9):
            x, y = torch.randn(64, 20), torch.randint(0, 3, (64,))
            loss = functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            recorder.step(loss=loss)
    record = Record(tmp_path / "record.jsonl")
    assert sorted(path.name for path in (tmp_path / "raw").iterdir()) == [
        f"step_{step:06d}.safetensors" for step in (0, 1, 4, 8)
    ]
    for step in (1, 4, 8):
        raw = load_file(tmp_path / "raw" / f"step_{step:06d}.safetensors")
        titles = record.titles(step)
        assert set(titles) == set(raw)
        for title in titles:
            exact = raw[title].numel() <= (SAMPLE if title.startswith(("activation", "input", "output")) else SMALL)
            assert_alike(record.rows[title, step], raw[title].double().numpy(), exact=exact)
        # The update is what the weights differ by.
    before, after = (load_file(tmp_path / "raw" / f"step_{step:06d}.safetensors") for step in (0, 1))
    assert torch.equal(before["weight/fc1.weight"], after["weight/fc1.weight"])


def test_raw_tensors_are_chosen_by_name_layer_and_kind(tmp_path: Path) -> None:
    for patterns, expected in (
        (["fc1"], {"weight/fc1.weight", "weight/fc1.bias", "gradient/fc1.weight", "activation/fc1"}),
        (["gradient/*"], {"gradient/fc1.weight", "gradient/fc2.bias"}),
        (["fc2.w*"], {"weight/fc2.weight", "update/fc2.weight"}),
    ):
        folder = tmp_path / patterns[0].replace("*", "_").replace("/", "_")
        model = Net()
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        with Recorder(model, optimizer, out=folder, raw=patterns) as recorder:
            model(torch.randn(8, 20)).sum().backward()
            optimizer.step()
            recorder.step()
        found = set(load_file(folder / "raw" / "step_000001.safetensors"))
        assert expected <= found
        assert "weight/out.weight" not in found


def test_arrays_are_measured_as_tensors_are() -> None:
    values = np.random.default_rng(0).normal(size=(20, 30)).astype(np.float32)
    label = Label("gradient", "dense/kernel", "dense", (20, 30), "float32", 0, "", 1)
    lines = list(lines_of(Known(), 3, 0.5, [Measured(label, values)]))
    assert lines[0] == b'{"sampled":3,"time":0.5}\n'
    assert b'"units":30' in lines[1]


@pytest.mark.parametrize("shape", [(40, 30), (300, 200)])
def test_the_change_of_a_weight_since_its_last_row(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    known, values = Known(), torch.randn(shape)
    rows = []
    for step in (0, 10, 20):
        found = take(weight(values), values)
        assert found is not None
        rows.append(json.loads(list(lines_of(known, step, 0.0, fetch([found])()))[-1]))
        if not step:
            change = torch.randn(shape) * 1e-3
            values = values + change
    assert "change" not in rows[0]
    assert rows[1]["since"] == 0
    assert rows[1]["change"] == pytest.approx(float(change.norm()), rel=0.05)
    assert rows[1]["changed"] == pytest.approx(1)
    assert (rows[2]["change"], rows[2]["changed"], rows[2]["since"]) == (0, 0, 10)
    assert rows[2]["bits"] == rows[1]["bits"]

"""Tensors summed up together give the rows that they give one by one."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from recorder.reading import Record, trained
from torch import Tensor

from convergence_cli.recorder import packed, parameters
from convergence_cli.recorder.captured import Label
from convergence_cli.recorder.packed import Plan, take_packed
from convergence_cli.recorder.reductions import Taken, fetch, take
from convergence_cli.recorder.tensor_lines import Known, lines_of


def some(kind: str) -> tuple[list[Label], list[Tensor]]:
    torch.manual_seed(0)
    shapes = [
        (7,),
        (64, 32),
        (16, 8, 3, 3),
        (300, 200),
        (256, 64, 3, 3),
        (17_000,),
        (70_001,),
        (1, 20_000),
        (20_000, 1),
    ]
    tensors = [torch.randn(shape) * 10.0**place for place, shape in enumerate(shapes, -4)]
    tensors[3][:60] = 0
    tensors[4][5] = 0
    labels = [
        Label(kind, f"layer{place}.weight", "", tuple(one.shape), "float32", place, "", 0 if one.dim() > 1 else None)
        for place, one in enumerate(tensors)
    ]
    return labels, tensors


def rows_of(found: list[Taken]) -> list[dict[str, Any]]:
    lines = [json.loads(text) for text in lines_of(Known(), 1, 0.0, fetch(found)())]
    return [one for one in lines if "tensor" in one]


@pytest.mark.parametrize("kind", ["weight", "gradient"])
def test_rows_are_those_of_one_by_one(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    labels, tensors = some(kind)
    alone = [found for label, one in zip(labels, tensors, strict=True) if (found := take(label, one)) is not None]
    expected = rows_of(alone)
    for most in (packed.MOST_VALUES, 50_000):
        monkeypatch.setattr(packed, "MOST_VALUES", most)
        plans: dict[str, Plan] = {}
        for _ in range(2):
            found = rows_of(take_packed(labels, tensors, plans))
            for ours, theirs in zip(found, expected, strict=True):
                assert ("bits" in ours) == (kind == "weight")
                # One by one the mean of a large gradient is that of a sample; sums come in another order.
                left_out = {"bits"} | ({"mean"} if kind == "gradient" else set())
                alike = {
                    key: pytest.approx(value, rel=1e-3, abs=1e-7 * theirs["max"])
                    for key, value in theirs.items()
                    if isinstance(value, float) and key not in left_out
                }
                assert {key: ours[key] for key in alike} == alike, ours["tensor"]
                assert ours.keys() == theirs.keys()
                assert ours["q"] == theirs["q"]


def test_values_that_are_not_finite_are_seen() -> None:
    labels, tensors = some("gradient")
    tensors[3][100, 7] = math.nan
    tensors[4][3, 3, 0, 0] = math.inf
    found = rows_of(take_packed(labels, tensors, {}))
    assert found[3]["nan"] >= 1
    assert found[4]["inf"] >= 1
    assert "nan" not in found[5]


def test_a_change_of_a_single_bit_changes_the_checksum() -> None:
    labels, tensors = some("weight")
    plans: dict[str, Plan] = {}
    before = [one.get("bits") for one in rows_of(take_packed(labels, tensors, plans))]
    assert before == [one.get("bits") for one in rows_of(take_packed(labels, tensors, plans))]
    for tensor in tensors:
        tensor.view(torch.int32).view(-1)[3] ^= 1
    after = [one.get("bits") for one in rows_of(take_packed(labels, tensors, plans))]
    assert all(one != other for one, other in zip(before, after, strict=True))


def test_half_precision_is_widened() -> None:
    labels, tensors = some("weight")
    halves = [one.bfloat16() for one in tensors]
    found = rows_of(take_packed(labels, halves, {}))
    assert found[3]["std"] == pytest.approx(float(halves[3].float().std(correction=0)), rel=1e-3)


@pytest.mark.parametrize(
    "name", ["large", "inplace_relu", "shared_weights", "bfloat16", "several_optimizers", "closure"]
)
def test_a_training_is_recorded_alike(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = trained(name, tmp_path / "alone")
    monkeypatch.setattr(parameters, "_is_packed", lambda value: not value.is_sparse and value.numel() > 0)
    together = trained(name, tmp_path / "together")
    assert all(torch.equal(one, other) for one, other in zip(alone, together, strict=True))
    first, second = (Record(tmp_path / folder / "record.jsonl") for folder in ("alone", "together"))
    assert first.rows.keys() == second.rows.keys()
    for place, row in first.rows.items():
        other = second.rows[place]
        sampled = place[0].startswith("update") and "n" not in row
        assert other["std"] == pytest.approx(row["std"], rel=0.1 if sampled else 1e-3, abs=1e-9)
        assert other.get("change", 0) == pytest.approx(row.get("change", 0), rel=0.1, abs=1e-9)


def test_the_number_of_kernels_does_not_grow_with_that_of_tensors() -> None:
    def launched(count: int) -> int:
        tensors = [torch.randn(40, 30) for _ in range(count)]
        labels = [Label("weight", f"{place}", "", (40, 30), "float32", place, "", 0) for place in range(count)]
        plans: dict[str, Plan] = {}
        take_packed(labels, tensors, plans)
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
            take_packed(labels, tensors, plans)
        computing = (
            "aten::cat",
            "aten::amax",
            "aten::amin",
            "aten::sum",
            "aten::segment_reduce",
            "aten::index",
            "aten::mul",
        )
        return sum(one.count for one in profile.key_averages() if one.key in computing)

    assert launched(100) == launched(10)

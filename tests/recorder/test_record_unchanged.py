"""The recorder changes nothing: from the same seed come the same weights, to the last bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from recorder.reading import Record, trained
from recorder.trainings import CASES

pytestmark = [
    # Of torch itself, with or without a recorder.
    pytest.mark.filterwarnings("ignore:Lazy modules are a new feature:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*use_reentrant.*"),
    pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad=True"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]


@pytest.mark.parametrize("name", CASES)
def test_weights_and_random_numbers_are_those_of_the_training_alone(name: str, tmp_path: Path) -> None:
    alone = trained(name, None)
    beside = trained(name, tmp_path, every=3)
    assert len(alone) == len(beside)
    assert all(torch.equal(one, other) for one, other in zip(alone, beside, strict=True))
    record = Record(tmp_path / "record.jsonl")
    assert record.of("end") == [record.lines[-1]]
    assert record.lines[-1]["end"] == "finished"

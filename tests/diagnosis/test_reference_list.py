"""Every change has its sources, each one complete, and no more than three are given."""

from __future__ import annotations

import re

import pytest

from convergence_cli.diagnosis.reference_list import MOST, OF_CHANGE, OF_REMEDY, PAPERS, references_of


def test_each_paper_is_complete_and_used() -> None:
    used = {name for names in (*OF_REMEDY.values(), *OF_CHANGE.values()) for name in names}
    assert used == PAPERS.keys()
    for text in PAPERS.values():
        assert re.match(r"[A-Z][\w .]+ (19|20)\d\d, \S", text), text
    addresses = re.findall(r"arxiv\.org/abs/\S+", " ".join(PAPERS.values()))
    assert len(addresses) == len(set(addresses))
    assert all(re.fullmatch(r"arxiv\.org/abs/(\d{4}\.\d{4,5}|math/\d{7}),?", one) for one in addresses)


@pytest.mark.parametrize("key", OF_CHANGE)
def test_each_change_has_one_to_three(key: str) -> None:
    name, _, value = key.partition("=")
    assert 1 <= len(references_of("", {name: value or 1})) <= MOST


def test_the_name_comes_first_and_each_key_has_its_turn() -> None:
    found = references_of("lower-learning-rate", {"learning_rate": 0.001})
    assert found[0].startswith("Cohen")
    assert len(found) == len(set(found)) == 3
    both = references_of("", {"warmup_steps": 100, "gradient_clip_norm": 1.0})
    assert both[0].startswith("Goyal")
    assert both[1].startswith("Pascanu")
    assert references_of("", {"loss": "z-loss-1e-4"})[0].startswith("Chowdhery")
    assert references_of("", {"loss": "focal"})[0].startswith("Lin")
    assert references_of("unheard-of", {}) == ()

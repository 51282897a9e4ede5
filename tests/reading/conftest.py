"""Where the runs of real writers lie."""

from pathlib import Path

import pytest


@pytest.fixture
def fixture_folder() -> Path:
    return Path(__file__).resolve().parents[2] / "fixtures"

"""The example notebook: executed with a real kernel, and what it shows."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import convergence_cli

nbformat: Any = pytest.importorskip("nbformat", reason="needs nbformat: pip install nbclient ipykernel")
nbclient: Any = pytest.importorskip("nbclient", reason="needs nbclient: pip install nbclient ipykernel")
pytest.importorskip("ipykernel", reason="needs ipykernel: pip install nbclient ipykernel")

ROOT = Path(convergence_cli.__file__).parent.parent
sys.path.insert(0, str(ROOT / "docs"))
notebook_page: Any = import_module("site_pages.notebook").notebook_page
PATH = ROOT / "docs" / "notebook.ipynb"
# Of the libraries that start the kernel.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


def shown(cell: Any) -> dict[str, str]:
    """What a cell shows, by type; what it prints as ``printed``."""
    found: dict[str, str] = {}
    for output in cell.outputs:
        found |= dict(output.get("data", {}))
        if output.output_type == "stream":
            found[{"stdout": "printed"}.get(output.name, output.name)] = output.text
    return found


def test_the_notebook_runs_and_shows_reports_tables_and_pictures(tmp_path: Path) -> None:
    notebook = nbformat.read(PATH, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in cells), "keep it without outputs"
    nbclient.NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    told = {next(iter(cell.source.splitlines()[-1:])): shown(cell) for cell in cells}
    page = told["report"]["text/html"]
    assert page.startswith('<div class="ctr embedded"><style>')
    assert "char-rnn/metrics.csv" in page
    assert "LC001" in page
    printed = next(one["printed"] for one in told.values() if one.get("printed", "").startswith("diverging"))
    assert "{'learning_rate': 0.2}" in printed
    assert sum("image/png" in one for one in told.values()) == 2
    tables = [
        one["text/html"] for one in told.values() if "<table" in one.get("text/html", "") and one["text/html"] != page
    ]
    assert any("non-finite-gradient-norm" in table for table in tables)
    assert any("val_loss" in table and "count" in table for table in tables)
    assert told[cells[-1].source.splitlines()[-1]]["text/plain"] == "['GN101']"

    text, pictures = notebook_page(notebook)
    assert [data[:4] for data in pictures.values()] == [b"\x89PNG"] * 2
    assert all(f"]({path})" in text for path in pictures)
    assert text.count("```python") == len(cells)
    assert "LC001" in text
    assert "non-finite-gradient-norm</td>" in text
    assert "<script" not in text

"""Tidy rows in Parquet: those of other programs, damaged ones, and such as would fill the memory."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convergence_cli.errors import SourceError
from convergence_cli.readers import _parquet_pages as pages
from convergence_cli.readers import best_reader, tidy_parquet
from convergence_cli.readers._guard import ReadOptions, Source

if TYPE_CHECKING:
    from convergence_cli.model import Run

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def runs(data: bytes | Path, folder: Path) -> list[Run]:
    path = folder / "rows.parquet"
    path.write_bytes(data if isinstance(data, bytes) else data.read_bytes())
    return tidy_parquet.read([Source(path, path.name)], ReadOptions())


def table(columns: dict[str, Any], metadata: dict[str, str] | None = None, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns).replace_schema_metadata(metadata), sink, **options)
    return sink.getvalue()


ROWS = {"series": ["loss", "acc", None, "loss"], "step": [1, 1, 2, 2], "value": [2.5, 0.1, 1.0, None]}


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd", "gzip", "brotli", "lz4"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_rows_of_other_programs(compression: str, version: str, tmp_path: Path) -> None:
    columns = {**ROWS, "run": pa.array(["a", "a", "a", "a"]).dictionary_encode(), "extra": [[1], [2], [], None]}
    (run,) = runs(table(columns, compression=compression, data_page_version=version, use_dictionary=False), tmp_path)
    assert [(curve.name, curve.step.tolist(), curve.value.tolist()) for curve in run.curves] == [
        ("loss", [1.0], [2.5]),
        ("acc", [1.0], [0.1]),
    ]
    assert run.notes == ("skipped 2 rows without a series, a step or a value",)


def test_nan_was_logged_and_null_was_not(tmp_path: Path) -> None:
    (run,) = runs(table({"series": ["loss"] * 3, "step": [1, 2, 3], "value": pa.array([1.0, np.nan, None])}), tmp_path)
    assert str(run.curves[0].value.tolist()) == "[1.0, nan]"


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"step": [1], "loss": [1.0]}, "columns step, loss"),
        ({**ROWS, "step": ["1"] * 4}, "another type"),
        ({**ROWS, "value": [[1.0]] * 4}, "another type"),
        ({**ROWS, "series": [1, 2, 3, 4]}, "another type"),
        ({"series": ["a"], "step": [np.nan], "value": [1.0]}, "no rows"),
    ],
)
def test_other_tables_are_refused_in_words(columns: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=said):
        runs(table(columns), tmp_path)


def test_tables_of_data_are_not_taken_for_a_log(tmp_path: Path) -> None:
    for columns, expected in ((ROWS, tidy_parquet), ({"step": [1], "loss": [1.0]}, None)):
        (tmp_path / "a.parquet").write_bytes(table(columns))
        assert best_reader(Source(tmp_path / "a.parquet", "a.parquet")) is expected
    for junk in (b"PAR1", b"PAR1PAR1", b"PAR1\xff\xff\xff\x7fPAR1", WHOLE[:-1]):
        (tmp_path / "a.parquet").write_bytes(junk)
        assert tidy_parquet.sniff(Source(tmp_path / "a.parquet", "a.parquet")) == 0


@pytest.mark.parametrize("told", ["[", "{}", "[1, {}]", '[{"run": 3, "config": [], "notes": "x", "format": 1}]'])
def test_what_is_told_of_a_run_may_be_anything(told: str, tmp_path: Path) -> None:
    assert runs(table(ROWS, {"ctroubleshoot": told}), tmp_path)[0].curves


def varint(number: int) -> bytes:
    """``number`` as a page header has it."""
    left, parts = number << 1, b""
    while left > 127:
        parts, left = parts + bytes([left & 127 | 128]), left >> 7
    return parts + bytes([left])


@pytest.mark.parametrize("size", [100 << 20, 60 << 20, 3 << 20])
def test_a_page_that_would_fill_the_memory_is_refused(size: int, tmp_path: Path) -> None:
    names = [f"{number}{'x' * 100_000}" for number in range(25)]
    columns = {"series": names, "step": range(25), "value": np.ones(25)}
    data = table(columns, compression="gzip", use_dictionary=False, write_statistics=False)
    # What it takes: 25 names with four bytes of length each, and two bytes and their length for the nulls.
    told = b"\x15" + varint(sum(map(len, names)) + 4 * 25 + 6)
    assert data.count(told) == 1
    with pytest.raises(SourceError, match=f"declares a page of {size:,} bytes"):
        runs(data.replace(told, b"\x15" + varint(size)), tmp_path)


def test_a_repeated_long_name_stays_one(tmp_path: Path) -> None:
    rows = 100_000
    name = "x" * 100_000
    series = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, dtype=np.int32)), pa.array([name]))
    columns = {"series": series, "step": np.arange(rows), "value": np.ones(rows)}
    # Without the types of Arrow nothing says that the texts repeat, and each would be made anew: 10 GB.
    data = table(columns, store_schema=False)
    assert len(data) < 2 << 20
    (run,) = runs(data, tmp_path)
    assert run.curves[0].points == rows


def test_pages_are_counted_as_the_format_has_them(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    path.write_bytes(table({**ROWS, "note": ["y" * 5000] * 4}, write_page_checksum=True))
    source = Source(path, path.name)
    footer = tidy_parquet._footer(source)
    names = set(pq.ParquetFile(path).schema.names)
    pages.check_pages(source, footer, names)
    metadata = pq.ParquetFile(path).metadata
    chunks = [metadata.row_group(0).column(index) for index in range(metadata.num_columns)]
    assert list(pages._chunks(source, footer)) == [
        (one.path_in_schema, one.dictionary_page_offset or one.data_page_offset, one.total_compressed_size)
        for one in chunks
    ]


def whole() -> bytes:
    step = np.arange(60)
    columns = {"run": ["a"] * 60, "series": ["loss"] * 60, "step": step, "value": 1 / (step + 1.0)}
    about = [{"run": "a", "format": "csv", "config": {"lr": 0.1}, "notes": []}]
    return table(columns, {"ctroubleshoot": json.dumps(about)}, row_group_size=20)


WHOLE = whole()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("parquet")


@pytest.mark.parametrize("length", [4, 8, 12, 100, len(WHOLE) // 2, len(WHOLE) - 5, len(WHOLE) - 1])
def test_a_file_that_is_cut_off(length: int, place: Path) -> None:
    with pytest.raises(SourceError, match=r"Parquet|declares"):
        runs(WHOLE[:length], place)


@settings(max_examples=150, deadline=None)
@given(at=st.integers(4, len(WHOLE) - 1), bits=st.integers(1, 255), more=st.binary(max_size=4))
def test_nothing_but_our_errors_escapes(place: Path, at: int, bits: int, more: bytes) -> None:
    data = bytearray(WHOLE)
    data[at] ^= bits
    data[at + 1 : at + 1 + len(more)] = more
    try:
        found = runs(bytes(data), place)
    except SourceError:
        return
    assert all(curve.points for run in found for curve in run.curves)


def test_a_footer_that_does_not_fit_together_ends_no_process(place: Path) -> None:
    # Asked for a column, pyarrow 26 ends the process at sizes in the footer that contradict one another.
    for at, bits, more in ((1967, 200, b"\xc9"), (1812, 86, b""), (1885, 250, b"\xb0"), (613, 6, b"\x0b")):
        data = bytearray(WHOLE)
        data[at] ^= bits
        data[at + 1 : at + 1 + len(more)] = more
        script = (
            "import sys; from pathlib import Path\n"
            "from convergence_cli.errors import SourceError\n"
            "from convergence_cli.readers import tidy_parquet\n"
            "from convergence_cli.readers._guard import ReadOptions, Source\n"
            "path = Path(sys.argv[1])\n"
            "try: tidy_parquet.read([Source(path, path.name)], ReadOptions())\n"
            "except SourceError as error: print(error)"
        )
        (place / "broken.parquet").write_bytes(data)
        done = subprocess.run(
            [sys.executable, "-c", script, str(place / "broken.parquet")], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")


@settings(max_examples=60, deadline=None)
@given(junk=st.binary(max_size=200))
def test_junk(place: Path, junk: bytes) -> None:
    with pytest.raises(SourceError):
        runs(b"PAR1" + junk + b"PAR1", place)


def test_without_pyarrow_one_sentence_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(SourceError, match=r"not installed.*convergence-cli\[parquet\]"):
        runs(WHOLE, tmp_path)

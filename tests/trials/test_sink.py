"""Output that is kept: its head and its tail."""

from __future__ import annotations

from pathlib import Path

import pytest

from convergence_cli.trials.sink import Sink, last_lines


def kept(path: Path, text: bytes, limit: int, block: int = 7) -> tuple[bytes, Sink]:
    sink = Sink(path, limit)
    for start in range(0, len(text), block):
        sink.write(text[start : start + block])
    sink.close()
    return path.read_bytes(), sink


@pytest.mark.parametrize("lines", [0, 1, 9, 10, 14, 20])
def test_what_fits_is_kept_whole(tmp_path: Path, lines: int) -> None:
    text = b"".join(b"line %04d\n" % number for number in range(lines))
    found, sink = kept(tmp_path / "out", text, 200)
    assert found == text
    assert (sink.written, sink.left_out) == (len(text), 0)


@pytest.mark.parametrize("lines", [31, 40, 100, 1001])
@pytest.mark.parametrize("block", [1, 7, 64, 5000])
def test_of_more_head_and_tail_are_kept_in_whole_lines(tmp_path: Path, lines: int, block: int) -> None:
    text = b"".join(b"line %04d\n" % number for number in range(lines))
    found, sink = kept(tmp_path / "out", text, 200, block)
    head, mark, tail = found.partition(b"[ctroubleshoot: ")
    count, _, tail = tail.partition(b" bytes are left out here]\n")
    assert mark
    assert text.startswith(head)
    assert text.endswith(tail)
    assert head.endswith(b"\n")
    assert tail.startswith(b"line ")
    assert int(count.replace(b",", b"")) == sink.left_out == len(text) - len(head) - len(tail)
    assert len(head) + len(tail) <= 200
    assert len(tail) >= 40
    assert [item.name for item in tmp_path.iterdir()] == ["out"]


def test_a_line_without_end_is_cut_anywhere(tmp_path: Path) -> None:
    found, sink = kept(tmp_path / "out", b"x" * 10_000, 200, 999)
    assert found.count(b"x") == 10_000 - sink.left_out <= 200


def test_a_full_disk_does_not_stop_the_counting(tmp_path: Path) -> None:
    sink = Sink(tmp_path / "out", 200)

    def full(data: object) -> int:
        raise OSError(28, "No space left on device")

    sink._file.close()
    sink._file = type("Full", (), {"write": staticmethod(full), "closed": False, "close": lambda self: None})()
    sink.write(b"a")
    sink.write(b"b")
    sink.close()
    assert sink.written == 2
    assert sink.failed is not None
    assert sink.failed.strerror == "No space left on device"


def test_last_lines_skip_the_empty_ones(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"a\n\n b \nc\xff\n\n")
    assert last_lines(tmp_path / "out", 2) == ("b", "c�")
    assert last_lines(tmp_path / "missing") == ()

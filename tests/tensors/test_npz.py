from __future__ import annotations

import io
import struct
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensors.files import refused, source, survives, values

from convergence_cli.errors import SourceError
from convergence_cli.tensors.npz import npz_tensors


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def packed(path: Path, members: list[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(path, "w", method) as archive:
            for name, data in members:
                archive.writestr(name, data)
    return path


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_come_back_in_the_order_of_their_writing(tmp_path: Path, save) -> None:
    arrays = {
        "gradient/fc2.weight": np.random.default_rng(0).standard_normal((30, 40)).astype(np.float32),
        "weight/fc1.weight": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
        "label/y": np.arange(5).astype(">i4"),
        "empty": np.empty((0, 3)),
        "scalar": np.float16(2.5),
    }
    save(tmp_path / "a.npz", **arrays)
    tensors = npz_tensors(source(tmp_path / "a.npz"))
    assert [tensor.key for tensor in tensors] == list(arrays)
    for tensor, array in zip(tensors, arrays.values(), strict=True):
        for _ in range(2):
            np.testing.assert_array_equal(values(tensor), array)


def test_one_odd_member_does_not_cost_the_others(tmp_path: Path) -> None:
    path = packed(
        tmp_path / "a.npz",
        [
            ("../../etc/x.npy", npy(np.ones(3))),
            ("/abs/y.npy", npy(np.ones(3))),
            ("broken.npy", b"not an array"),
            ("short.npy", npy(np.ones(50))[:-8]),
            ("long.npy", npy(np.ones(50)) + b"more"),
            ("read.me", b"hello"),
        ],
    )
    found = {tensor.key: tensor.trouble for tensor in npz_tensors(source(path))}
    assert found == {
        "../../etc/x": "",
        "/abs/y": "",
        "broken": "damaged header or values",
        "short": "a declared size that is not the real one",
        "long": "a declared size that is not the real one",
    }


def test_of_two_members_with_one_name_the_first_is_read(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.npz", [("w.npy", npy(np.ones(3))), ("w.npy", npy(np.zeros(3)))])
    first, second = npz_tensors(source(path))
    assert values(first).tolist() == [1, 1, 1]
    assert "second" in second.trouble


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compression_that_cannot_be_bounded_is_left_out(tmp_path: Path, method: int) -> None:
    path = packed(tmp_path / "a.npz", [("w.npy", npy(np.ones(3)))], method)
    assert "deflate" in npz_tensors(source(path))[0].trouble


def test_an_encrypted_member_is_left_out(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.npz", [("w.npy", npy(np.ones(3)))])
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    assert "encrypted" in npz_tensors(source(path))[0].trouble


def test_a_zip_bomb_is_refused(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", w=np.zeros(25_000_000))
    assert (tmp_path / "a.npz").stat().st_size < 250_000
    assert "fill the memory" in refused(npz_tensors, tmp_path / "a.npz")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_wrong_byte_is_found_by_the_checksum(tmp_path: Path, method: int) -> None:
    array = np.random.default_rng(0).standard_normal(20_000)
    path = packed(tmp_path / "a.npz", [("w.npy", npy(array)), ("v.npy", npy(np.ones(4)))], method)
    data = bytearray(path.read_bytes())
    data[80_000] ^= 0x40
    path.write_bytes(data)
    broken, whole = npz_tensors(source(path))
    with pytest.raises(SourceError, match="damaged"):
        list(broken.blocks())
    assert values(whole).tolist() == [1, 1, 1, 1]


def test_a_wrong_byte_in_a_short_array_is_found_on_opening(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.npz", [("w.npy", npy(np.ones(20)))], zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[200] ^= 0x40
    path.write_bytes(data)
    assert "damaged" in npz_tensors(source(path))[0].trouble


def test_a_member_that_declares_more_than_it_holds_is_refused_at_its_end(tmp_path: Path) -> None:
    real = npy(np.ones(1000))
    declared = len(npy(np.ones(100_000)))
    path = packed(tmp_path / "a.npz", [("w.npy", npy(np.ones(100_000))[:128] + real[128:])])
    data = bytearray(path.read_bytes())
    directory = data.index(b"PK\x01\x02")
    data[directory + 24 : directory + 28] = struct.pack("<I", declared)
    path.write_bytes(data)
    (tensor,) = npz_tensors(source(path))
    with pytest.raises(SourceError, match="incomplete"):
        list(tensor.blocks())


def test_members_that_overlap_are_refused(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.npz", [("w.npy", npy(np.random.default_rng(0).standard_normal(500)))])
    data = path.read_bytes()
    start, end = data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06")
    entries = data[start:end] * 50
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 50, 50, len(entries), start, 0)
    path.write_bytes(data[:start] + entries + tail)
    assert "more than it can hold" in refused(npz_tensors, path)


def test_a_directory_of_huge_declared_size_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with path.open("wb") as stream:
        stream.write(b"PK\x03\x04")
        stream.truncate(200 << 20)
        stream.seek(0, 2)
        stream.write(struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 9, 9, 199 << 20, 1 << 20, 0))
    assert "directory" in refused(npz_tensors, path)


def test_unfinished_empty_and_foreign_files_are_told_apart(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", w=np.ones(100))
    whole = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[:-30])
    (tmp_path / "empty.npz").write_bytes(b"")
    (tmp_path / "text.npz").write_bytes(b"step,loss\n1,2\n")
    packed(tmp_path / "none.npz", [("x.txt", b"hello")])
    assert "still being written" in refused(npz_tensors, tmp_path / "cut.npz")
    assert "still being written" in refused(npz_tensors, tmp_path / "empty.npz")
    assert "no zip archive" in refused(npz_tensors, tmp_path / "text.npz")
    assert "no arrays" in refused(npz_tensors, tmp_path / "none.npz")


def _bytes() -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **{"weight/a": np.arange(40.0), "b": np.ones(3, dtype=np.int8)})
    return stream.getvalue()


def test_every_cut_of_a_file_is_refused() -> None:
    data = _bytes()
    assert [survives(npz_tensors, data[:length]) for length in range(len(data))] == [0] * len(data)


@settings(deadline=None, max_examples=80)
@given(st.binary(max_size=300), st.data())
def test_any_bytes_are_survived(junk: bytes, data: st.DataObject) -> None:
    survives(npz_tensors, b"PK\x03\x04" + junk)
    real = bytearray(_bytes())
    for _ in range(4):
        real[data.draw(st.integers(0, len(real) - 1))] = data.draw(st.integers(0, 255))
    survives(npz_tensors, bytes(real))

from __future__ import annotations

import io
import os
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensors.files import refused, source, survives, values

from convergence_cli.errors import SourceError
from convergence_cli.tensors.npy import npy_tensor
from convergence_cli.tensors.stored import ITEM_BYTES, StoredTensor

if TYPE_CHECKING:
    from convergence_cli.readers._guard import Source


def opened(one: Source) -> list[StoredTensor]:
    return [npy_tensor(one, "w")]


def saved(path: Path, array: np.ndarray) -> StoredTensor:
    np.save(path, array, allow_pickle=True)
    return npy_tensor(source(path), "w")


@pytest.mark.parametrize("name", [one for one in ITEM_BYTES if one not in {"bfloat16", "float8_e4m3fn", "float8_e5m2"}])
@pytest.mark.parametrize("order", ["<", ">"])
def test_every_number_comes_back_in_native_order(tmp_path: Path, name: str, order: str) -> None:
    array = (np.arange(60).reshape(3, 4, 5) % 7).astype(name)
    tensor = saved(tmp_path / "a.npy", array.astype(array.dtype.newbyteorder(order)))
    assert (tensor.dtype, tensor.shape, tensor.size) == (name, (3, 4, 5), 60)
    np.testing.assert_array_equal(values(tensor), array)


def test_a_second_pass_gives_the_same(tmp_path: Path) -> None:
    tensor = saved(tmp_path / "a.npy", np.arange(5, dtype=">f4"))
    np.testing.assert_array_equal(values(tensor), values(tensor))


def test_large_arrays_come_in_several_blocks(tmp_path: Path) -> None:
    array = np.arange((4 << 20) // 8 * 2 + 3, dtype=np.float64)
    tensor = saved(tmp_path / "a.npy", array)
    assert sum(1 for _ in tensor.blocks()) == 3
    np.testing.assert_array_equal(values(tensor), array)


def test_scalar_empty_and_fortran_arrays(tmp_path: Path) -> None:
    assert values(saved(tmp_path / "0.npy", np.float32(3.5))) == np.float32(3.5)
    assert saved(tmp_path / "e.npy", np.empty((0, 4))).size == 0
    array = np.arange(24.0).reshape(2, 3, 4)
    tensor = saved(tmp_path / "f.npy", np.asfortranarray(array))
    assert tensor.fortran
    np.testing.assert_array_equal(values(tensor), array)


def test_bfloat16_is_known_by_what_ml_dtypes_leaves_of_it(tmp_path: Path) -> None:
    patterns = np.array([0x3F80, 0xC000], dtype=np.uint16)
    tensor = saved(tmp_path / "b.npy", patterns.view("V2"))
    assert tensor.dtype == "bfloat16"
    np.testing.assert_array_equal(values(tensor), patterns)


def test_a_byte_that_is_no_bool_counts_as_true(tmp_path: Path) -> None:
    path = tmp_path / "b.npy"
    np.save(path, np.array([False, True, False]))
    path.write_bytes(path.read_bytes()[:-1] + b"\x07")
    assert values(npy_tensor(source(path), "w")).tolist() == [False, True, True]


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.array([{}, None], dtype=object), "run code"),
        (np.array([1 + 2j]), "complex"),
        (np.array(["a", "bc"]), "texts"),
        (np.array([1, 2], dtype="M8[s]"), "texts and times"),
        (np.array([1.5], dtype=np.longdouble), "longer than 64 bits"),
        (np.zeros(2, dtype=[("a", "f4"), ("b", "i2")]), "records"),
        (np.zeros(2, dtype="V7"), "raw bytes"),
    ],
)
def test_other_types_are_left_out_with_a_reason(tmp_path: Path, array: np.ndarray, said: str) -> None:
    assert said in saved(tmp_path / "a.npy", array).trouble


def test_a_pickle_in_an_object_array_never_runs(tmp_path: Path) -> None:
    sentinel = tmp_path / "ran"

    class Payload:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(sentinel),)

    assert saved(tmp_path / "a.npy", np.array([Payload()], dtype=object)).trouble
    assert not sentinel.exists()


def test_a_declared_size_beyond_the_file_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": (10**9, 10**9)})
        stream.write(b"\0" * 100)
    assert "still being written" in refused(opened, path)


def test_a_header_of_declared_gigabytes_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    with path.open("wb") as stream:
        stream.write(b"\x93NUMPY\x02\x00" + (3 << 30).to_bytes(4, "little"))
        stream.truncate(3 << 30)
    tracemalloc.start()
    refused(opened, path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


def test_negative_and_many_axes_are_refused(tmp_path: Path) -> None:
    for shape in ((-1, -4), (1,) * 200):
        path = tmp_path / "a.npy"
        with path.open("wb") as stream:
            np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": shape})
            stream.write(b"\0" * 16)
        assert "impossible shape" in refused(opened, path)


def test_a_file_cut_short_after_its_header_was_read_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    tensor = saved(path, np.zeros(1000))
    os.truncate(path, 500)
    with pytest.raises(SourceError, match="incomplete"):
        list(tensor.blocks())


def test_links_and_pipes_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "outside.npy", np.zeros(3))
    (tmp_path / "link.npy").symlink_to(tmp_path / "outside.npy")
    refused(opened, tmp_path / "link.npy")
    os.mkfifo(tmp_path / "pipe.npy")
    assert "not a regular file" in refused(opened, tmp_path / "pipe.npy")


def _bytes() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.arange(6, dtype=np.float32))
    return stream.getvalue()


def test_every_cut_of_a_file_is_refused() -> None:
    data = _bytes()
    assert [survives(opened, data[:length]) for length in range(len(data))] == [0] * len(data)


@settings(deadline=None, max_examples=80)
@given(st.binary(max_size=300), st.data())
def test_any_bytes_are_survived(junk: bytes, data: st.DataObject) -> None:
    survives(opened, junk)
    survives(opened, b"\x93NUMPY" + junk)
    real = bytearray(_bytes())
    for _ in range(3):
        real[data.draw(st.integers(0, len(real) - 1))] = data.draw(st.integers(0, 255))
    survives(opened, bytes(real))

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_torch
from tensors.files import refused, source, survives, values

from convergence_cli.tensors.safetensors import safetensors_tensors


def packed(header: object, data: bytes = b"", *, text: str | None = None) -> bytes:
    encoded = (json.dumps(header) if text is None else text).encode()
    return len(encoded).to_bytes(8, "little") + encoded + data


def entry(dtype: str, shape: list[int], begin: int, end: int) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def test_what_numpy_saves_comes_back_in_natural_order(tmp_path: Path) -> None:
    arrays = {
        f"layer{index}.{name}": np.arange(6).reshape(2, 3).astype(name)
        for index, name in enumerate(
            [
                "float64",
                "float32",
                "float16",
                "int64",
                "int32",
                "int16",
                "int8",
                "uint64",
                "uint32",
                "uint16",
                "uint8",
                "bool",
            ]
        )
    }
    arrays |= {"layer1.empty": np.empty((0, 3)), "layer1.scalar": np.array(2.5)}
    save_file(arrays, tmp_path / "a.safetensors", metadata={"format": "np"})
    tensors = safetensors_tensors(source(tmp_path / "a.safetensors"))
    places = [int(tensor.key.split(".")[0].removeprefix("layer")) for tensor in tensors]
    assert places == sorted(places)
    assert len(tensors) == len(arrays)
    for tensor in tensors:
        np.testing.assert_array_equal(values(tensor), arrays[tensor.key])
        assert tensor.dtype == arrays[tensor.key].dtype.name


@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn", "float8_e5m2"])
def test_short_floats_come_as_their_bit_patterns(tmp_path: Path, name: str) -> None:
    tensor = torch.linspace(-3, 3, 12).to(getattr(torch, name)).reshape(3, 4)
    save_torch({"w": tensor}, tmp_path / "a.safetensors")
    (found,) = safetensors_tensors(source(tmp_path / "a.safetensors"))
    assert found.dtype == name
    patterns = torch.uint16 if name == "bfloat16" else torch.uint8
    np.testing.assert_array_equal(values(found), tensor.view(patterns).numpy())


@pytest.mark.parametrize(
    ("header", "data", "said"),
    [
        ({"w": entry("F32", [2], 0, 8)}, b"\0" * 7, "still being written"),
        ({"w": entry("F32", [10**12], 0, 4 * 10**12)}, b"\0" * 8, "still being written"),
        ({"w": entry("F32", [10**12], 0, 8)}, b"\0" * 8, "size is not that of its shape"),
        ({"v": entry("F32", [2], 0, 8), "w": entry("F32", [2], 4, 12)}, b"\0" * 12, "overlap"),
        ({"w": entry("F32", [2], 8, 0)}, b"\0" * 8, "without shape and place"),
        ({"w": entry("F32", [-2], 0, 8)}, b"\0" * 8, "without shape and place"),
        ({"w": {"dtype": "F32"}}, b"", "without shape and place"),
        ({"w": {"dtype": "F32", "shape": [True], "data_offsets": [0, 4]}}, b"\0" * 4, "without shape and place"),
        ({"w": 3}, b"", "without shape and place"),
        ([1, 2], b"", "no tensors"),
    ],
)
def test_a_header_that_lies_is_refused(tmp_path: Path, header: object, data: bytes, said: str) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(packed(header, data))
    assert said in refused(safetensors_tensors, path)


def test_headers_that_are_no_header_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    for data, said in [
        (b"", "still being written"),
        (b"\xff" * 8, "still being written"),
        (packed(None, text="{not json"), "no readable header"),
        (packed(None, text="[" * 100_000), "no readable header"),
        (packed(None, text='{"w": ' + "9" * 5000 + "}"), "no readable header"),
    ]:
        path.write_bytes(data)
        assert said in refused(safetensors_tensors, path)
    with path.open("wb") as stream:
        stream.write((50 << 20).to_bytes(8, "little"))
        stream.truncate(60 << 20)
    assert "header of 52,428,800 bytes" in refused(safetensors_tensors, path)


def test_of_double_keys_the_first_is_read_and_odd_types_are_left_out(tmp_path: Path) -> None:
    one, two, odd = (
        json.dumps(item) for item in (entry("I8", [1], 0, 1), entry("I8", [1], 1, 2), entry("C64", [1], 2, 10))
    )
    path = tmp_path / "a.safetensors"
    path.write_bytes(packed(None, b"\1\2" + b"\0" * 8, text=f'{{"w": {one}, "w": {two}, "x": {odd}}}'))
    first, second, complex_one = safetensors_tensors(source(path))
    assert values(first).tolist() == [1]
    assert "second" in second.trouble
    assert "complex" in complex_one.trouble


def _bytes() -> bytes:
    header = {"a": entry("F32", [2, 2], 0, 16), "b": entry("BF16", [3], 16, 22), "__metadata__": {"x": "y"}}
    return packed(header, bytes(range(22)))


def test_every_cut_of_a_file_is_refused() -> None:
    data = _bytes()
    assert [survives(safetensors_tensors, data[:length]) for length in range(len(data))] == [0] * len(data)


@settings(deadline=None, max_examples=80)
@given(st.binary(max_size=300), st.data())
def test_any_bytes_are_survived(junk: bytes, data: st.DataObject) -> None:
    survives(safetensors_tensors, junk)
    survives(safetensors_tensors, len(junk).to_bytes(8, "little") + junk)
    real = bytearray(_bytes())
    for _ in range(3):
        real[data.draw(st.integers(0, len(real) - 1))] = data.draw(st.integers(0, 255))
    survives(safetensors_tensors, bytes(real))

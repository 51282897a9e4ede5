"""Weights in HDF5: those of real Keras, those of h5py in every layout, and files that would reach out or blow up."""

from __future__ import annotations

import shutil
import sys
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convergence_cli.errors import SourceError
from convergence_cli.pipeline import analyze_paths, read_run
from convergence_cli.settings import Settings
from convergence_cli.tensors.find import find_dumps
from convergence_cli.tensors.hdf5 import hdf5_tensors
from convergence_cli.tensors.keras_names import Variable, epoch_of, keys_of
from tests.tensors.files import refused, source, survives, values

if TYPE_CHECKING:
    from convergence_cli.tensors.stored import StoredTensor

FIXTURES = Path(__file__).parents[2] / "fixtures" / "hdf5"
h5py: Any = pytest.importorskip("h5py")


def read(path: Path) -> dict[str, StoredTensor]:
    return {tensor.key: tensor for tensor in hdf5_tensors(source(path))}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "step_1.h5"


@pytest.mark.parametrize("name", ["weights.06.weights.h5", "model.keras"])
def test_weights_of_keras_bear_the_names_of_their_layers(name: str, tmp_path: Path) -> None:
    found = read(FIXTURES / "healthy-digits" / name)
    assert {key: (tensor.dtype, tensor.shape) for key, tensor in found.items()} == {
        "weight/dense.kernel": ("float32", (16, 12)),
        "weight/dense.bias": ("float32", (12,)),
        "weight/dense_1.kernel": ("float32", (12, 10)),
        "weight/dense_1.bias": ("float32", (10,)),
    }
    plain = FIXTURES / "healthy-digits" / name
    if name.endswith(".keras"):
        with zipfile.ZipFile(plain) as archive:
            plain = Path(archive.extract("model.weights.h5", tmp_path))
    with h5py.File(plain) as file:
        assert np.array_equal(values(found["weight/dense.kernel"]), file["layers/dense/vars/0"][()])
        assert np.array_equal(values(found["weight/dense_1.bias"]), file["layers/dense_1/vars/1"][()])


def test_checkpoints_of_a_folder_are_the_steps_of_its_run() -> None:
    (dumps,) = find_dumps(FIXTURES / "frozen-at-zero")
    assert [dump.step for dump in dumps.dumps] == [4, 8, 12]
    assert not any(dump.ordered for dump in dumps.dumps)
    (run,) = analyze_paths([str(FIXTURES / "frozen-at-zero")], Settings()).runs
    assert run.summary["tensors"]["kinds"] == {"weight": 4}
    found = {(finding.name, finding.where.layer) for finding in run.findings}
    assert {("frozen-parameters", "dense"), ("all-zero-tensor", "dense")} <= found
    healthy = read_run(FIXTURES / "healthy-digits")
    assert healthy.tensors is not None
    assert (healthy.tensors.steps.tolist(), healthy.notes) == ([6, 12], ())


def test_a_model_that_is_named_is_read_and_one_that_lies_about_is_not(tmp_path: Path) -> None:
    shutil.copy(FIXTURES / "healthy-digits" / "model.keras", tmp_path / "model.keras")
    shutil.copy(FIXTURES / "healthy-digits" / "weights.06.weights.h5", tmp_path / "best.weights.h5")
    assert find_dumps(tmp_path) == []
    for name in ("model.keras", "best.weights.h5"):
        (dumps,) = find_dumps(tmp_path / name)
        assert len(dumps.dumps[0].tensors()) == 4


@pytest.mark.parametrize(
    ("name", "epoch"),
    [
        *(("weights.05.weights.h5", 5), ("weights.05-0.43.weights.h5", 5), ("cp-0001.weights.h5", 1)),
        *(("epoch=12.weights.h5", 12), ("vgg16.07.weights.h5", 7), ("7.WEIGHTS.H5", 7)),
        *(("model.weights.h5", None), ("vgg16.weights.h5", None), ("05.h5", None)),
    ],
)
def test_the_epoch_in_a_name(name: str, epoch: float | None) -> None:
    assert epoch_of(name) == epoch


def test_names_of_variables_of_every_sort() -> None:
    layers: dict[str, list[tuple[int, ...]]] = {
        "layers/lstm/cell": [(8, 24), (6, 24), (24,)],
        "layers/layer_normalization": [(5,), (5,)],
        "layers/batch_normalization": [(5,)] * 4,
        "layers/embedding": [(50, 8)],
        "layers/conv2d": [(3, 3, 8, 16), (16,)],
        "layers/attention/query_dense": [(8, 2, 4), (2, 4)],
        "layers/odd": [(3,), (4, 4), (7,)],
    }
    variables = [
        Variable((*group.split("/"), "vars", str(number)), shape)
        for group, shapes in layers.items()
        for number, shape in enumerate(shapes)
    ]
    assert keys_of(variables) == [
        *("weight/lstm.cell.kernel", "weight/lstm.cell.recurrent_kernel", "weight/lstm.cell.bias"),
        *("weight/layer_normalization.gamma", "weight/layer_normalization.beta"),
        *("weight/batch_normalization.gamma", "weight/batch_normalization.beta"),
        *("weight/batch_normalization.moving_mean", "weight/batch_normalization.moving_variance"),
        *("weight/embedding.embeddings", "weight/conv2d.kernel", "weight/conv2d.bias"),
        *("weight/attention.query_dense.kernel", "weight/attention.query_dense.bias"),
        *("weight/odd.0", "weight/odd.1", "weight/odd.2"),
    ]
    others = [("model_weights", "fc", "net", "fc", "kernel:0"), ("gradient", "fc.weight"), ("x", "fc1.weight")]
    assert keys_of([Variable(one, (2,)) for one in others]) == [
        *("weight/net.fc.kernel:0", "gradient/fc.weight", "weight/x.fc1.weight"),
    ]


@pytest.mark.parametrize(
    "dtype", ["<f8", ">f8", "<f4", ">f4", "<f2", "<i8", ">i4", "i2", "i1", ">u8", "u4", "u2", "u1", "?"]
)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"chunks": (3, 2)},
        {"chunks": (7, 5), "compression": "gzip"},
        {"chunks": (2, 5), "compression": "gzip", "shuffle": True, "fletcher32": True},
        {"chunks": (4, 4), "shuffle": True},
        {"chunks": (4, 4), "fletcher32": True},
    ],
    ids=str,
)
def test_every_type_in_every_layout(dtype: str, options: dict[str, Any], path: Path) -> None:
    array = (np.arange(35).reshape(7, 5) % 11 - (dtype[-2:-1] in "fi") * 5).astype(dtype)
    with h5py.File(path, "w") as file:
        file.create_dataset("gradient/fc.weight", data=array, **options)
    (tensor,) = hdf5_tensors(source(path))
    assert (tensor.key, tensor.dtype) == ("gradient/fc.weight", np.dtype(dtype).newbyteorder("=").name)
    assert np.array_equal(values(tensor), array)
    assert np.array_equal(values(tensor), array), "a second pass"


def test_scalars_empty_and_compact_arrays(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["one"], file["none"] = np.float32(2.5), np.empty((0, 4), np.float32)
        options = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        options.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple((3,))
        h5py.h5d.create(file.id, b"small", h5py.h5t.IEEE_F32BE, space, options).write(
            h5py.h5s.ALL, h5py.h5s.ALL, np.arange(3, dtype=">f4")
        )
    found = read(path)
    assert (values(found["weight/one"]).tolist(), values(found["weight/none"]).shape) == (2.5, (0, 4))
    assert values(found["weight/small"]).tolist() == [0, 1, 2]


def test_an_array_of_many_blocks(path: Path) -> None:
    array = np.random.default_rng(0).normal(size=(1500, 1000)).astype(np.float32)
    with h5py.File(path, "w") as file:
        file["plain"] = array
        file.create_dataset("packed", data=array, chunks=(128, 300), compression="gzip")
    assert all(np.array_equal(values(tensor), array) for tensor in read(path).values())


def test_bfloat16_of_keras(path: Path) -> None:
    patterns = np.array([16256, 16384], dtype=np.uint16)
    with h5py.File(path, "w") as file:
        file.create_dataset("a", data=patterns.view("V2")).attrs["dtype"] = "bfloat16"
    found = read(path)
    assert (found["weight/a"].dtype, values(found["weight/a"]).tolist()) == ("bfloat16", patterns.tolist())


def test_nothing_outside_of_the_file_is_read(path: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(np.arange(4.0).tobytes())
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["there"] = np.arange(4.0)
    with h5py.File(path, "w") as file:
        file["here"] = np.arange(4.0)
        file["soft"] = h5py.SoftLink("/here")
        file["far"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/there")
        file.create_dataset("raw", (4,), "f8", external=[(str(secret), 0, 32)])
        layout = h5py.VirtualLayout((4,), "f8")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "there", (4,))
        file.create_virtual_dataset("virtual", layout)
    troubles = {key: tensor.trouble for key, tensor in read(path).items()}
    outside = "values outside of the file are not read"
    assert troubles == {
        **{"weight/here": "", "weight/soft": "links are not followed", "weight/far": "links are not followed"},
        **{"weight/raw": outside, "weight/virtual": outside},
    }


def test_what_else_is_left_out(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["text"], file["complex"], file["record"] = "abc", np.zeros(2, complex), np.zeros(2, "i4,f4")
        file.create_dataset("lists", (2,), h5py.vlen_dtype(np.int32))
        file["short"] = h5py.Empty("f4")
        file.create_dataset("lzf", data=np.zeros((8, 8)), compression="lzf")
        file.create_dataset("rounded", data=np.zeros((8, 8), "i4"), scaleoffset=0)
        file.create_dataset("unwritten", (8, 8), "f4")
        file.create_dataset("holes", (8, 8), "f4", chunks=(4, 4))[0, 0] = 1
        file.create_dataset("wide", (1 << 20, 1 << 20), "f4", chunks=(1 << 10, 1 << 10), compression="gzip")
        file.create_dataset("cut", (1 << 20, 64), "f4", chunks=(1, 64))
        file["optimizer/vars/0"] = np.zeros(3)
        file["type"] = np.dtype("f4")
    reasons = {key.removeprefix("weight/"): tensor.trouble for key, tensor in read(path).items()}
    types, missing = "texts, records and other types are not read", "values that are not in the file"
    packed = "arrays packed by anything but deflate are not read"
    assert reasons == {
        **dict.fromkeys(("text", "complex", "record", "lists"), types),
        **dict.fromkeys(("unwritten", "holes"), missing),
        **dict.fromkeys(("lzf", "rounded"), packed),
        **{"short": "no values", "wide": "chunks that take more than 64 MiB at once are not read"},
        "cut": "more than 200,000 chunks",
    }


def test_groups_in_a_circle_end(path: Path) -> None:
    with h5py.File(path, "w") as file:
        group = file.create_group("a")
        group["b"] = np.ones(2)
        group["again"], file["alias"] = group, group["b"]
        group["root"] = file["/"]
    assert len(read(path)) == 1


def test_a_chunk_never_unpacks_to_more_than_it_declares(path: Path) -> None:
    with h5py.File(path, "w") as file:
        data = file.create_dataset("bomb", (1024,), "f4", chunks=(1024,), compression="gzip")
        # HDF5 itself would take the gigabyte.
        packer = zlib.compressobj(9)
        data.id.write_direct_chunk(
            (0,), b"".join([*(packer.compress(bytes(1 << 20)) for _ in range(4)), packer.flush()])
        )
        file.create_dataset("short", (1024,), "f4", chunks=(1024,), compression="gzip").id.write_direct_chunk(
            (0,), zlib.compress(b"1234")
        )
        file.create_dataset("skipped", (2,), "f4", chunks=(2,), compression="gzip").id.write_direct_chunk(
            (0,), b"12345678", filter_mask=1
        )
        file.create_dataset("junk", (2,), "f4", chunks=(2,), compression="gzip").id.write_direct_chunk((0,), b"no zlib")
    found = read(path)
    assert np.array_equal(values(found.pop("weight/bomb")), np.zeros(1024))
    for tensor in found.values():
        with pytest.raises(SourceError, match="damaged chunk"):
            values(tensor)


def whole() -> bytes:
    return (FIXTURES / "healthy-digits" / "weights.06.weights.h5").read_bytes()


@pytest.mark.parametrize("length", [0, 4, 8, 100, 2000, 10_000, len(whole()) - 1])
def test_a_file_that_is_cut_off(length: int, path: Path) -> None:
    path.write_bytes(whole()[:length])
    assert "HDF5" in refused(hdf5_tensors, path) or "incomplete" in refused(hdf5_tensors, path)


def test_an_archive_that_keras_does_not_write(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.keras", "w") as archive:
        archive.writestr("config.json", "{}")
    assert "without model.weights.h5" in refused(hdf5_tensors, tmp_path / "a.keras")
    with zipfile.ZipFile(tmp_path / "b.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.weights.h5", whole())
    assert "packed anew" in refused(hdf5_tensors, tmp_path / "b.keras")
    with zipfile.ZipFile(tmp_path / "c.keras", "w") as archive:
        archive.writestr("model.weights.h5", b"junk")
    assert "no readable HDF5" in refused(hdf5_tensors, tmp_path / "c.keras")


def test_a_block_of_the_user_before_the_data(path: Path) -> None:
    with h5py.File(path, "w", userblock_size=512) as file:
        file["a"] = np.ones(3)
    assert "not HDF5" in refused(hdf5_tensors, path)


@settings(max_examples=200, deadline=None)
@given(at=st.integers(0, len(whole()) - 1), bits=st.integers(1, 255), more=st.binary(max_size=4))
def test_damaged_bytes_raise_nothing_but_our_errors(at: int, bits: int, more: bytes) -> None:
    data = bytearray(whole())
    data[at] ^= bits
    data[at + 1 : at + 1 + len(more)] = more
    survives(hdf5_tensors, bytes(data))


def test_without_h5py_one_sentence_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    message = refused(hdf5_tensors, FIXTURES / "healthy-digits" / "model.keras")
    assert message.endswith("is HDF5, which is read with h5py, and that is not installed.")
    (run,) = analyze_paths([str(FIXTURES / "healthy-digits")], Settings()).runs
    assert run.verdict.label == "converging"
    assert len(run.notes) == 1

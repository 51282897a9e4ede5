from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tensors.files import refused, source, survives, values

from convergence_cli.tensors import strided
from convergence_cli.tensors.checkpoint import checkpoint_tensors

NUMBERS = "float64 float32 float16 bfloat16 float8_e4m3fn float8_e5m2 int64 int32 int16 int8 uint8 uint16 bool"


def saved(path: Path, content: object) -> dict[str, object]:
    torch.save(content, path)
    return {tensor.key: tensor for tensor in checkpoint_tensors(source(path))}


def described_by(path: Path, data: bytes, storages: dict[str, bytes] | None = None) -> Path:
    """A file as ``torch.save`` makes it, with a description of our own."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", data)
        for key, content in (storages or {}).items():
            archive.writestr(f"a/data/{key}", content)
    return path


@pytest.mark.parametrize("name", NUMBERS.split())
def test_every_number_comes_back(tmp_path: Path, name: str) -> None:
    tensor = torch.arange(24).reshape(2, 3, 4).remainder(5).to(getattr(torch, name))
    (found,) = saved(tmp_path / "a.pt", {"w": tensor}).values()
    assert (found.dtype, found.shape) == (name, (2, 3, 4))
    patterns = {"bfloat16": torch.uint16, "float8_e4m3fn": torch.uint8, "float8_e5m2": torch.uint8}
    np.testing.assert_array_equal(values(found), tensor.view(patterns.get(name, tensor.dtype)).numpy())


def test_a_training_checkpoint_is_flattened_in_its_order(tmp_path: Path) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.randn(5, 3)).sum().backward()
    optimizer.step()
    found = saved(
        tmp_path / "a.pt",
        {
            "epoch": 3,
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "history": [0.5, None, "text", (1, 2)],
            "gradient": {name: one.grad for name, one in model.named_parameters()},
            "list": [torch.ones(2), {"x": model[0].weight}],
        },
    )
    read = [key for key, tensor in found.items() if not tensor.trouble]
    gradients = [f"gradient.{name}" for name, _ in model.named_parameters()]
    assert read == [*(f"model.{name}" for name in model.state_dict()), *gradients, "list.0", "list.1.x"]
    assert {tensor.trouble for key, tensor in found.items() if key.startswith("optimizer.")} == {
        "the state of the optimizer is not read"
    }
    np.testing.assert_array_equal(values(found["list.1.x"]), model[0].weight.detach().numpy())


@pytest.mark.parametrize(
    "view",
    [
        lambda t: t.transpose(0, 2),
        lambda t: t.permute(1, 0, 2),
        lambda t: t[:, 1:, ::2],
        lambda t: t[3],
        lambda t: t[:, :1].expand(6, 9, 8),
        lambda t: t.reshape(6, 7, 2, 4).to(memory_format=torch.channels_last),
        lambda t: t[:0],
        lambda t: t[1, 2, 3],
        lambda t: t.flatten()[5:50:9],
    ],
)
@pytest.mark.parametrize("held", [4 << 20, 256, 32])
def test_views_come_in_their_own_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, view: Callable[[torch.Tensor], torch.Tensor], held: int
) -> None:
    monkeypatch.setattr(strided, "BLOCK_BYTES", held)
    monkeypatch.setattr(strided, "_SPAN_BYTES", 4 * held)
    tensor = view(torch.arange(6 * 7 * 8, dtype=torch.float32).reshape(6, 7, 8))
    (found,) = saved(tmp_path / "a.pt", {"w": tensor}).values()
    np.testing.assert_array_equal(values(found), tensor.numpy())


def test_a_large_transposed_tensor_is_read_in_slices(tmp_path: Path) -> None:
    tensor = torch.arange(3 * 1000 * 2000, dtype=torch.float64).reshape(3, 1000, 2000).transpose(1, 2)
    (found,) = saved(tmp_path / "a.pt", {"w": tensor}).values()
    np.testing.assert_array_equal(values(found), tensor.numpy())


def test_a_value_repeated_without_end_is_left_out(tmp_path: Path) -> None:
    found = saved(tmp_path / "a.pt", {"w": torch.ones(1).expand(10**6, 10**6), "ok": torch.ones(2)})
    assert "without end" in found["w"].trouble
    assert values(found["ok"]).tolist() == [1, 1]


def test_other_tensors_are_left_out_with_a_reason(tmp_path: Path) -> None:
    found = saved(
        tmp_path / "a.pt",
        {
            "complex": torch.ones(2, dtype=torch.complex64),
            "sparse": torch.eye(3).to_sparse(),
            "meta": torch.ones(2, device="meta"),
            "ok": torch.nn.Parameter(torch.ones(2)),
        },
    )
    assert {key for key, tensor in found.items() if not tensor.trouble} == {"ok"}
    assert "complex" in found["complex"].trouble
    assert "sparse" in found["sparse"].trouble


class Payload:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", [0, 1, 2, 4, 5])
def test_a_file_that_would_run_code_is_refused_and_runs_none(tmp_path: Path, protocol: int) -> None:
    sentinel = tmp_path / "ran"
    torch.save({"w": torch.ones(2), "x": Payload(sentinel)}, tmp_path / "a.pt", pickle_protocol=max(protocol, 2))
    described_by(tmp_path / "b.pt", pickle.dumps(Payload(sentinel), protocol=protocol))
    for name in ("a.pt", "b.pt"):
        assert "would run" in refused(checkpoint_tensors, tmp_path / name)
    assert not sentinel.exists()


@pytest.mark.parametrize(
    "data",
    [
        b"(S'x'\nios\nsystem\n.",
        b"\x80\x02ctorch.hub\nload\n(X\x01\x00\x00\x00x\x85R.",
        b"\x80\x02ctorch\nload\n)R.",
        b"\x80\x02cbuiltins\neval\n)R.",
        b"\x80\x02\x82\x01.",
        b"Pstorage\n.",
    ],
)
def test_other_ways_to_call_are_refused(tmp_path: Path, data: bytes) -> None:
    assert "would" in refused(checkpoint_tensors, described_by(tmp_path / "a.pt", data))


def test_old_files_programs_and_other_archives_say_what_they_are(tmp_path: Path) -> None:
    torch.save({"w": torch.ones(2)}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert "before 1.6" in refused(checkpoint_tensors, tmp_path / "old.pt")
    np.savez(tmp_path / "numpy.pt", w=np.ones(2))
    (tmp_path / "numpy.pt.npz").rename(tmp_path / "numpy.pt")
    assert "no file of torch.save" in refused(checkpoint_tensors, tmp_path / "numpy.pt")
    torch.save({"epoch": 3}, tmp_path / "none.pt")
    assert "holds no tensors" in refused(checkpoint_tensors, tmp_path / "none.pt")
    with zipfile.ZipFile(described_by(tmp_path / "jit.pt", b"."), "a") as archive:
        archive.writestr("a/constants.pkl", b".")
    assert "TorchScript" in refused(checkpoint_tensors, tmp_path / "jit.pt")


def _tensor_pickle(shape: str, stride: str, offset: str = "K\x00", key: str = "0") -> bytes:
    """One float tensor as torch describes it, with numbers of our own (pickle source text)."""
    storage = f"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x00{key}X\x03\x00\x00\x00cpuK\x04tQ"
    call = f"ctorch._utils\n_rebuild_tensor_v2\n({storage}{offset}{shape}{stride}\x89NtR"
    return b"\x80\x02" + f"}}X\x01\x00\x00\x00w{call}s.".encode("latin-1")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (_tensor_pickle("K\x04\x85", "K\x01\x85"), ""),
        (_tensor_pickle("K\x05\x85", "K\x01\x85"), "beyond its storage"),
        (_tensor_pickle("K\x04\x85", "K\x02\x85"), "beyond its storage"),
        (_tensor_pickle("K\x04\x85", "K\x01\x85", "K\x01"), "beyond its storage"),
        (_tensor_pickle("K\x04\x85", "K\x01\x85", "J\xff\xff\xff\xff"), "damaged description"),
        (_tensor_pickle("J\xff\xff\xff\xff\x85", "K\x01\x85"), "damaged description"),
        (_tensor_pickle("K\x04\x85", "J\xff\xff\xff\xff\x85"), "damaged description"),
        (_tensor_pickle("K\x02K\x02\x86", "K\x01\x85"), "damaged description"),
        (_tensor_pickle("K\x04\x85", "N"), "damaged description"),
        (_tensor_pickle("K\x04\x85", "K\x01\x85", key="7"), "not in the file"),
    ],
)
def test_numbers_that_lie_are_found(tmp_path: Path, data: bytes, said: str) -> None:
    path = described_by(tmp_path / "a.pt", data, {"0": np.arange(4, dtype="<f4").tobytes()})
    (tensor,) = checkpoint_tensors(source(path))
    assert said in tensor.trouble
    assert bool(said) == bool(tensor.trouble)


def test_a_big_endian_file_is_turned(tmp_path: Path) -> None:
    path = described_by(
        tmp_path / "a.pt", _tensor_pickle("K\x04\x85", "K\x01\x85"), {"0": np.arange(4, dtype=">f4").tobytes()}
    )
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("a/byteorder", "big")
    (tensor,) = checkpoint_tensors(source(path))
    assert values(tensor).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "data",
    [
        b"]" * 1_100_000,
        b"]q\x00" + b"h\x00h\x00\x86q\x00" * 60 + b".",
        b"]q\x00" + b"]q\x01(" + b"h\x00" * 20 + b"e" + b"(h\x01h\x01h\x01h\x01lq\x01" * 30 + b".",
        b"(" * 100_000 + b".",
        b".",
        b"h\x05.",
        b"\x8d\xff\xff\xff\xff\xff\xff\xff\x7f.",
    ],
)
def test_descriptions_without_end_are_refused(tmp_path: Path, data: bytes) -> None:
    refused(checkpoint_tensors, described_by(tmp_path / "a.pt", data))


def test_torch_is_not_needed(tmp_path: Path) -> None:
    torch.save({"w": torch.ones(2)}, tmp_path / "a.pt")
    script = (
        "import sys; from pathlib import Path; from convergence_cli.tensors.find import find_dumps;"
        f"one, = find_dumps(Path({str(tmp_path / 'a.pt')!r}));"
        "print([b.tolist() for t in one.dumps[0].tensors() for b in t.blocks()], 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[[1.0, 1.0]] False\n"


@cache
def _bytes() -> bytes:
    stream = io.BytesIO()
    torch.save({"w": torch.arange(6.0).reshape(2, 3).t(), "b": torch.ones(2, dtype=torch.bfloat16)}, stream)
    return stream.getvalue()


def test_cut_files_are_refused() -> None:
    data = _bytes()
    assert [survives(checkpoint_tensors, data[:length]) for length in range(0, len(data), 7)] == [0] * len(
        range(0, len(data), 7)
    )


@settings(deadline=None, max_examples=80)
@given(st.binary(max_size=300), st.data())
def test_any_bytes_are_survived(junk: bytes, data: st.DataObject) -> None:
    real = bytearray(_bytes())
    for _ in range(4):
        real[data.draw(st.integers(0, len(real) - 1))] = data.draw(st.integers(0, 255))
    survives(checkpoint_tensors, bytes(real))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a/data.pkl", b"\x80\x02" + junk + b".")
    survives(checkpoint_tensors, stream.getvalue())
    with zipfile.ZipFile(io.BytesIO(_bytes())) as archive:
        name = next(one for one in archive.namelist() if one.endswith("data.pkl"))
        description = bytearray(archive.read(name))
        storages = {one.rpartition("/")[2]: archive.read(one) for one in archive.namelist() if "/data/" in one}
    for _ in range(3):
        description[data.draw(st.integers(0, len(description) - 1))] = data.draw(st.integers(0, 255))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a/data.pkl", bytes(description))
        for key, content in storages.items():
            archive.writestr(f"a/data/{key}", content)
    survives(checkpoint_tensors, stream.getvalue())

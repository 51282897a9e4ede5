"""A writer of trial folders as smdebug 1.0.34 lays them out: for tests, which must not depend on smdebug."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from convergence_cli.readers._crc32c import crc32c, masked

Value = npt.NDArray[Any] | list[str] | float
DTYPES = {
    "float32": 1, "float64": 2, "int32": 3, "uint8": 4, "int16": 5, "int8": 6, "complex64": 8, "int64": 9, "bool": 10,
    "uint16": 17, "complex128": 18, "float16": 19, "uint32": 22, "uint64": 23,
}  # fmt: skip
MODES = {"TRAIN": 1, "EVAL": 2, "PREDICT": 3, "GLOBAL": 4}


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = b""
    while value > 0x7F:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def part(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def event(name: str, value: Value, step: int, mode: str, mode_step: int = 0, time: float = 1.7e9) -> bytes:
    if isinstance(value, list):
        shape: tuple[int, ...] = (len(value),)
        content = b"".join(part(8, text.encode()) for text in value)
    else:
        array = np.asarray(value)
        shape = array.shape
        content = varint(1 << 3) + varint(DTYPES[str(array.dtype)])
    sizes = b"".join(part(2, varint(1 << 3) + varint(size) + part(2, f"{name}_{size}".encode())) for size in shape)
    if isinstance(value, list):
        tensor = part(2, sizes) + content
    else:
        tensor = content + part(2, sizes) + (part(4, array.astype(array.dtype.newbyteorder("<")).tobytes()))
    plugins = [("mode_step", str(mode_step)), ("mode", str(MODES[mode]))]
    described = b"".join(part(1, part(1, key.encode()) + part(2, text.encode())) for key, text in plugins)
    summary = part(1, part(1, name.encode()) + part(8, tensor) + part(9, described))
    return b"\x09" + struct.pack("<d", time) + (b"\x10" + varint(step) if step else b"") + part(5, summary)


def frame(payload: bytes, *, checksum: bool = False) -> bytes:
    head = struct.pack("<Q", len(payload))
    footer = masked(crc32c(payload)) if checksum else 0x062DC0B3
    return head + struct.pack("<I", masked(crc32c(head))) + payload + struct.pack("<I", footer)


@dataclass
class TrialWriter:
    """Writes below ``root``; ``collections`` maps a name to the tensors it took."""

    root: Path
    collections: dict[str, list[str]] = field(default_factory=dict)
    worker: str = "worker_0"
    checksum: bool = False

    def save(
        self,
        step: int,
        tensors: Sequence[tuple[str, Value]],
        mode: str = "TRAIN",
        *,
        shapes: dict[str, list[int]] | None = None,
        index: bool = True,
    ) -> tuple[Path, Path]:
        """One saved step; the paths of its event file and its index."""
        name = f"{step:012d}_{self.worker}"
        events = self.root / "events" / f"{step:012d}" / f"{name}.tfevents"
        placed = self.root / "index" / f"{step // 1000:09d}" / f"{name}.json"
        for path in (events, placed):
            path.parent.mkdir(parents=True, exist_ok=True)
        data, payload = b"", []
        for key, value in tensors:
            record = frame(event(key, value, step, mode, time=1.7e9 + step), checksum=self.checksum)
            payload.append({"tensorname": key, "start_idx": len(data), "length": len(record)})
            data += record
        events.write_bytes(data)
        meta = {"mode": mode, "mode_step": step, "event_file_name": str(events.relative_to(self.root))}
        told = [{"tensorname": key, "originalname": key, "shape": shape} for key, shape in (shapes or {}).items()]
        if index:
            placed.write_text(json.dumps({"meta": meta, "tensor_payload": payload, "shape_payload": told}))
        self.manifest()
        return events, placed

    def manifest(self) -> None:
        """The manifest of this worker."""
        path = self.root / "collections" / "000000000" / f"{self.worker}_collections.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        listed = {
            name: {"name": name, "include_regex": [], "tensor_names": sorted(members), "save_config": {}}
            for name, members in self.collections.items()
        }
        path.write_text(json.dumps({"collections": listed, "_meta": {"num_workers": 1}}))

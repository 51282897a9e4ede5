"""Event files by the real writers, against TensorBoard's own loader and against a plain walk."""

from __future__ import annotations

import random
import struct
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tensorboard.backend.event_processing.event_accumulator import SCALARS, TENSORS, EventAccumulator
from tensorboard.compat.proto import event_pb2, types_pb2
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboard.util.tensor_util import make_ndarray, make_tensor_proto

from convergence_cli.errors import SourceError
from convergence_cli.readers import _tfrecord, tensorboard
from convergence_cli.readers._guard import ReadOptions, Source

if TYPE_CHECKING:
    from tensorboard.compat.proto.event_pb2 import Event

    from convergence_cli.model import Run

Points = dict[str, list[tuple[float, float, float]]]


def frame(payload: bytes) -> bytes:
    head = struct.pack("<Q", len(payload))
    return head + struct.pack("<I", masked_crc32c(head)) + payload + struct.pack("<I", masked_crc32c(payload))


def framed(events: Iterable[Event]) -> bytes:
    return b"".join(frame(event.SerializeToString()) for event in events)


def scalar(tag: str, step: int, value: float, time: float = 0.0) -> Event:
    event = event_pb2.Event(wall_time=time or 1e9 + step / 8, step=step)
    event.summary.value.add(tag=tag, simple_value=value)
    return event


def tensor(tag: str, step: int, value: object, dtype: type | None = None) -> Event:
    event = event_pb2.Event(wall_time=1e9 + step / 8, step=step)
    event.summary.value.add(tag=tag, tensor=make_tensor_proto(value, dtype))
    return event


@contextmanager
def source_of(data: bytes, name: str = "run/events.out.tfevents.1.host") -> Iterator[Source]:
    with tempfile.TemporaryFile() as stream:
        stream.write(data)
        stream.flush()
        yield Source(Path(name), name, stream=stream)


def run_of(data: bytes) -> Run:
    with source_of(data) as source:
        (run,) = tensorboard.read([source], ReadOptions())
    return run


def sniffed(data: bytes) -> float:
    with source_of(data, "anything.txt") as source:
        return tensorboard.sniff(source)


def points(run: Run) -> Points:
    found: Points = {}
    for curve in run.curves:
        assert curve.buckets is None
        time = np.full(len(curve.step), np.nan) if curve.time is None else curve.time
        found[curve.name] = list(zip(curve.step.tolist(), curve.value.tolist(), time.tolist(), strict=True))
    return found


def walked(data: bytes) -> Points:
    """The oracle: one record and one value at a time, with Google's parser."""
    found: Points = defaultdict(list)
    pos = 0
    while pos + 16 <= len(data):
        (length,) = struct.unpack_from("<Q", data, pos)
        event = event_pb2.Event.FromString(data[pos + 12 : pos + 12 + length])
        pos += length + 16
        for value in event.summary.value:
            held = value.WhichOneof("value")
            if held == "simple_value":
                number = value.simple_value
            elif held == "tensor" and value.tensor.dtype != types_pb2.DT_STRING:
                array = make_ndarray(value.tensor)
                if array.size != 1:
                    continue
                number = float(array.reshape(-1)[0])
            else:
                continue
            found[value.tag].append((float(event.step), number, event.wall_time or np.nan))
    return found


def same(ours: Points, theirs: Points) -> None:
    assert ours.keys() == theirs.keys()
    for name, expected in theirs.items():
        np.testing.assert_array_equal(ours[name], expected, err_msg=name)


def accumulated(path: Path) -> Points:
    loader = EventAccumulator(str(path), {SCALARS: 0, TENSORS: 0}, purge_orphaned_data=False)
    loader.Reload()
    found: Points = {
        tag: [(event.step, event.value, event.wall_time) for event in loader.Scalars(tag)]
        for tag in loader.Tags()["scalars"]
    }
    for tag in loader.Tags()["tensors"]:
        rows = []
        for event in loader.Tensors(tag):
            array = make_ndarray(event.tensor_proto)
            if array.size == 1 and array.dtype.kind in "fiub":
                rows.append((float(event.step), float(array.reshape(-1)[0]), event.wall_time))
        if rows:
            found[tag] = rows
    return found


def regular() -> Iterator[Event]:
    for step in range(700):
        for place, tag in enumerate(("train/loss", "val/loss", "lr", "grad_norm")):
            yield scalar(tag, step, 1 / (step + place + 1))


def irregular() -> Iterator[Event]:
    rng = random.Random(3)
    yield event_pb2.Event(wall_time=1e9, graph_def=rng.randbytes(100_000))
    for step in range(0, 40_000, 53):
        yield scalar("loss", step, rng.random())
        if step % 3 == 0:
            yield scalar("gradient/norm", step, rng.random())
        if step % 50 < 5:
            event = event_pb2.Event(wall_time=1e9 + step, step=step)
            limits = [rng.gauss(0, 1) for _ in range(rng.randrange(3, 900))]
            event.summary.value.add(tag="weights").histo.bucket_limit.extend(limits)
            yield event
            for number in range(40):
                yield scalar(f"eval/metric_{number:02}", step, rng.random())


def several_tags_an_event() -> Iterator[Event]:
    for step in range(300):
        event = event_pb2.Event(wall_time=5.0 + step, step=step)
        for number in range(1 + step % 3):
            event.summary.value.add(tag=f"tag{number}", simple_value=step + number / 4)
        event.summary.value.add(tag="image").image.encoded_image_string = b"x" * (step % 7)
        yield event


def awkward_numbers() -> Iterator[Event]:
    for step in (*range(-40, 40), 127, 128, 16383, 16384, 1 << 35, (1 << 63) - 1, -(1 << 63)):
        yield scalar("loss", step, float(step % 17))
        yield scalar("broken", step, (float("nan"), float("inf"), float("-inf"), 0.0, -0.0, 3e38)[step % 6])
        yield scalar("time", step, 1.0, time=(float("nan"), float("inf"), -5.0, 1e-300)[step % 4])


def tensors() -> Iterator[Event]:
    for step in range(60):
        yield tensor("f4", step, step / 7, np.float32)
        yield tensor("f8", step, step / 7, np.float64)
        yield tensor("f2", step, step / 7, np.float16)
        yield tensor("i4", step, -step * 1000, np.int32)
        yield tensor("i8", step, -step << 40, np.int64)
        yield tensor("u1", step, step, np.uint8)
        yield tensor("flag", step, bool(step % 2))
        yield tensor("one", step, [step / 3], np.float32)
        yield tensor("vector", step, [1.0, 2.0, 3.0], np.float32)
        yield tensor("empty", step, np.zeros((0, 3), np.float32))
        yield tensor("words", step, b"text")
        content = event_pb2.Event(wall_time=9.0, step=step)
        proto = content.summary.value.add(tag="content").tensor
        proto.dtype = types_pb2.DT_DOUBLE
        proto.tensor_shape.SetInParent()
        proto.tensor_content = struct.pack("<d", step / 11)
        yield content


def many_tags_of_one_length() -> Iterator[Event]:
    for step in range(1, 6):
        for number in range(600):
            yield scalar(f"layer_{number:04}/norm", step, number / 3)


def long_names_of_one_length() -> Iterator[Event]:
    rng = random.Random(11)
    names = ["".join(rng.choices("abcdefghij", k=20)) for _ in range(50)]
    for step in range(1, 20):
        for name in names:
            yield scalar(name, step, rng.random())


def many_shapes_of_one_length() -> Iterator[Event]:
    for step in range(1, 101):
        # A field that TensorBoard does not know, with another number each time.
        unknown = bytes([0x80 | step % 16 << 3, 1 + step // 16, 7])
        yield event_pb2.Event.FromString(scalar("loss", step, step / 9).SerializeToString() + unknown)


@pytest.mark.parametrize(
    "events",
    [
        regular,
        irregular,
        several_tags_an_event,
        awkward_numbers,
        tensors,
        many_tags_of_one_length,
        long_names_of_one_length,
        many_shapes_of_one_length,
    ],
)
def test_every_value_is_the_one_that_the_plain_walk_and_tensorboard_read(
    events: Callable[[], Iterator[Event]], tmp_path: Path
) -> None:
    data = framed([event_pb2.Event(wall_time=1e9, file_version="brain.Event:2"), *events()])
    path = tmp_path / "events.out.tfevents.1.host"
    path.write_bytes(data)
    (run,) = tensorboard.read([Source(path, str(path))], ReadOptions())
    ours = points(run)
    same(ours, walked(data))
    same(ours, accumulated(path))


@pytest.mark.parametrize(("size", "length"), [(13, 20_000), (1000, 100_000), (65_537, 900_000)])
def test_blocks_end_anywhere(size: int, length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    data = framed([*regular(), *irregular()])[:length]
    whole = run_of(data)
    blocks = Source.blocks
    monkeypatch.setattr(Source, "blocks", lambda self, _=0, *, raw: blocks(self, size, raw=raw))
    run = run_of(data)
    assert run.notes == whole.notes
    same(points(run), points(whole))


def test_torch_writes_what_is_read(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path)) as writer:
        for step in range(50):
            writer.add_scalar("loss", 1 / (step + 1), step)
            writer.add_scalar("new", step / 3, step, new_style=True)
            writer.add_scalar("precise", step / 7, step, new_style=True, double_precision=True)
        writer.add_histogram("weights", np.arange(100.0))
        writer.add_text("args", '{"learning_rate": 0.003, "optim": "adamw", "nested": {"k": 1}}')
        writer.add_text("model_config", '{"vocab_size": 77}')
        writer.add_text("notes", "just *words*")
    (path,) = tmp_path.iterdir()
    (run,) = tensorboard.read([Source(path, str(path))], ReadOptions())
    same(points(run), accumulated(path))
    assert {curve.name: curve.points for curve in run.curves} == {"loss": 50, "new": 50, "precise": 50}
    assert run.config["learning_rate"] == 0.003
    assert run.config["optimizer"] == "adamw"
    assert run.config["nested.k"] == 1
    assert run.config["model_config.vocab_size"] == 77
    assert run.notes == ()


def test_hyperparameters_of_the_plugin(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path)) as writer:
        writer.add_hparams({"lr": 0.1, "bsize": 32, "model": "resnet", "amp": True}, {"hparam/acc": 0.5}, run_name=".")
    sources = [Source(path, str(path)) for path in tmp_path.rglob("*tfevents*")]
    (run,) = tensorboard.read(sources, ReadOptions())
    assert run.config["learning_rate"] == 0.1
    assert (run.config["bsize"], run.config["model"], run.config["amp"]) == (32, "resnet", True)
    assert [(curve.name, curve.value.tolist()) for curve in run.curves] == [("hparam/acc", [0.5])]


def test_tensorboards_own_writer_and_a_restart(tmp_path: Path) -> None:
    for began, steps in ((1e9, range(30)), (2e9, range(20, 40))):
        folder = tmp_path / str(began)
        writer = EventFileWriter(str(folder))
        for step in steps:
            writer.add_event(scalar("loss", step, step / 7, time=began + step))
        writer.close()
    # The later file is given first: the order is that of the events.
    paths = sorted(tmp_path.rglob("*tfevents*"), reverse=True)
    for path, name in zip(paths, ("a", "b"), strict=True):
        path.rename(tmp_path / name)
    first, second = tmp_path / "b", tmp_path / "a"
    began_first = walked(first.read_bytes())
    sources = [Source(second, "a"), Source(first, "b")]
    (run,) = tensorboard.read(sources, ReadOptions())
    (curve,) = run.curves
    assert len(began_first["loss"]) == 30
    assert curve.points == 50
    assert len(curve.restarts) == 1
    assert run.notes[0].startswith("steps go back 1 time in 1 series")


def test_sibling_folders_prefix_their_tags(tmp_path: Path) -> None:
    sources = []
    for folder in ("train", "validation"):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / "events.v2"
        path.write_bytes(framed([tensor("epoch_loss", step, step / 3) for step in range(4)]))
        sources.append(Source(path, str(path)))
    empty = tmp_path / "train" / "x.profile-empty"
    empty.write_bytes(b"")
    (run,) = tensorboard.read([*sources, Source(empty, str(empty))], ReadOptions())
    assert [curve.name for curve in run.curves] == ["train/epoch_loss", "validation/epoch_loss"]
    assert run.name == tmp_path.name
    assert all(curve.value.tolist() == pytest.approx([0, 1 / 3, 2 / 3, 1]) for curve in run.curves)
    (alone,) = tensorboard.read(sources[:1], ReadOptions())
    assert [curve.name for curve in alone.curves] == ["epoch_loss"]


def test_a_file_without_scalars_is_a_run_without_curves() -> None:
    run = run_of(framed([event_pb2.Event(wall_time=1.0, file_version="brain.Event:2")]))
    assert run.curves == ()
    assert run.notes == ("no scalars have been logged",)


def test_sniffing_goes_by_content() -> None:
    data = framed([event_pb2.Event(wall_time=1.0, file_version="brain.Event:2")])
    assert sniffed(data) == 1.0
    assert sniffed(frame(b"\x0a\x03abc")) == 0.5  # a tf.train.Example
    assert sniffed(data[:11]) == 0.0
    assert sniffed(b"step,loss\n1,2\n") == 0.0
    assert sniffed(b"") == 0.0
    # 0xFF 0xFE is also a byte-order mark.
    assert sniffed(frame(b"\x0a\xf8\xfd\x03" + b"x" * 65_272)) == 0.5


SMALL = [
    event_pb2.Event(wall_time=1e9, file_version="brain.Event:2"),
    *(scalar(tag, step, step / 3) for step in range(126, 131) for tag in ("loss", "val")),
    tensor("loss", 140, 0.5),
]


def test_truncated_anywhere_the_complete_records_are_kept() -> None:
    data = framed(SMALL)
    ends = np.cumsum([event.ByteSize() + 16 for event in SMALL]).tolist()
    for cut in range(12, len(data)):
        complete = sum(end <= cut for end in ends)
        run = run_of(data[:cut])
        same(points(run), walked(framed(SMALL[:complete])))
        assert any("incomplete" in note for note in run.notes) == (cut not in ends)
    for cut in range(1, 12):
        with pytest.raises(SourceError, match="not a TensorBoard event file"):
            run_of(data[:cut])


def test_no_flipped_bit_changes_a_value() -> None:
    data = framed(SMALL)
    whole = {name: {row[:2] for row in rows} for name, rows in walked(data).items()}
    rng = random.Random(7)
    for place in range(len(data)):
        broken = bytearray(data)
        broken[place] ^= 1 << rng.randrange(8)
        if place < 12:
            with pytest.raises(SourceError, match="wrong checksum"):
                run_of(bytes(broken))
            continue
        run = run_of(bytes(broken))
        for name, rows in points(run).items():
            assert {row[:2] for row in rows} <= whole[name]
        assert any("damaged" in note or "wrong checksum" in note for note in run.notes)


def test_a_bad_checksum_costs_one_record_and_a_bad_length_the_rest() -> None:
    events = list(regular())
    parts = [frame(event.SerializeToString()) for event in events]
    parts[5] = parts[5][:-1] + bytes([parts[5][-1] ^ 1])
    run = run_of(b"".join(parts))
    assert sum(curve.points for curve in run.curves) == len(events) - 1
    assert run.notes == ("left out 1 record with a wrong checksum",)
    before = b"".join(parts[:2000])
    rest = b"\x00" * 40 + b"".join(parts[2000:])
    run = run_of(before + rest)
    assert sum(curve.points for curve in run.curves) == 1999
    assert run.notes[0] == f"the {len(rest):,} bytes after byte {len(before):,} are damaged and were left out"


@pytest.mark.parametrize("length", [1 << 20, 1 << 30, 1 << 62, (1 << 64) - 1])
def test_a_huge_declared_length_takes_no_memory(length: int) -> None:
    head = struct.pack("<Q", length)
    data = framed(SMALL) + head + struct.pack("<I", masked_crc32c(head)) + b"x" * 100
    run = run_of(data)
    same(points(run), walked(framed(SMALL)))
    assert any("incomplete" in note for note in run.notes)


def test_an_oversized_record_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_tfrecord, "MAX_RECORD_BYTES", 5 << 20)
    large = event_pb2.Event(graph_def=b"\0" * (9 << 20))
    run = run_of(framed([*SMALL, large, scalar("after", 1, 2.0)]))
    same(points(run), walked(framed([*SMALL, scalar("after", 1, 2.0)])))
    assert run.notes == ("left out 1 record larger than 5,242,880 bytes",)


def test_a_long_record_across_blocks_is_read_over() -> None:
    large = event_pb2.Event(graph_def=bytes(range(256)) * (40 << 10))
    run = run_of(framed([*SMALL, large, scalar("after", 1, 2.0)]))
    same(points(run), walked(framed([*SMALL, scalar("after", 1, 2.0)])))
    assert run.notes == ()


def test_a_record_inside_a_record_is_not_read() -> None:
    inner = framed([scalar("fake", 1, 1.0)] * 3)
    run = run_of(framed([event_pb2.Event(graph_def=inner), scalar("real", 2, 2.0)]))
    assert [curve.name for curve in run.curves] == ["real"]


def test_records_of_something_else_are_counted() -> None:
    run = run_of(frame(b"\x0a\x03abc") * 3 + framed(SMALL) + frame(b"\xff\xff"))
    same(points(run), walked(framed(SMALL)))
    assert run.notes == ("left out 4 records of something other than TensorBoard events",)


def test_a_scalar_left_at_its_default_is_zero() -> None:
    event = event_pb2.Event(wall_time=1.0)
    proto = event.summary.value.add(tag="loss").tensor
    proto.dtype = types_pb2.DT_FLOAT
    proto.tensor_shape.SetInParent()
    (curve,) = run_of(framed([event])).curves
    assert (curve.step.tolist(), curve.value.tolist()) == ([0.0], [0.0])


def test_bfloat16_and_names_that_are_no_text() -> None:
    event = event_pb2.Event(wall_time=1.0, step=3)
    proto = event.summary.value.add(tag="x").tensor
    proto.dtype = types_pb2.DT_BFLOAT16
    proto.half_val.append(0x3FC0)
    raw = event.SerializeToString().replace(b"\x0a\x01x", b"\x0a\x01\xff")
    (curve,) = run_of(frame(raw)).curves
    assert (curve.name, curve.value.tolist()) == ("\ufffd", [1.5])


@given(st.binary(max_size=300))
@example(b"\0" * 40)
@settings(deadline=None, max_examples=150)
def test_any_bytes_are_a_run_or_a_source_error(data: bytes) -> None:
    try:
        run_of(data)
    except SourceError:
        return
    assert not data


@given(st.lists(st.binary(max_size=80), min_size=1, max_size=6))
@settings(deadline=None, max_examples=150)
def test_any_payload_is_read_or_counted(payloads: list[bytes]) -> None:
    run_of(b"".join(map(frame, payloads)))


@given(st.data())
@settings(deadline=None, max_examples=150)
def test_a_damaged_payload_with_a_right_checksum_raises_nothing(data: st.DataObject) -> None:
    events = [event.SerializeToString() for event in (*SMALL, *list(tensors())[:12])]
    broken = []
    for payload in events:
        changed = bytearray(payload)
        place = data.draw(st.integers(0, len(payload) - 1))
        changed[place] = data.draw(st.integers(0, 255))
        broken.append(frame(bytes(changed)))
    run_of(b"".join(broken))


@given(st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=30)
def test_reading_as_columns_is_reading_one_by_one(rng: random.Random) -> None:
    """Damaged copies share a length and part of their shape: none may be read by another's layout."""
    events = [event.SerializeToString() for event in (*SMALL, *list(tensors())[:12])]
    payloads = []
    for _ in range(150):
        changed = bytearray(rng.choice(events))
        for _ in range(rng.randrange(3)):
            changed[rng.randrange(len(changed))] = rng.choice((rng.randrange(256), 0x80, 0x0A, 0x42, 1, 8))
        payloads.append(frame(bytes(changed)))
    data = b"".join(payloads)
    columns = run_of(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tensorboard, "_MAX_ROUNDS", 0)
        single = run_of(data)
    assert columns.notes == single.notes
    same(points(columns), points(single))

"""JSON lines: one object a line. LLaMA-Factory, mmcv, detectron2 and rllib logs, and most home-made ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from convergence_cli.model import Run
from convergence_cli.printable import counted
from convergence_cli.readers._collect import Collector
from convergence_cli.readers._json_lines import parse_line, parse_lines
from convergence_cli.readers._json_steps import Placing, is_mmengine, layout
from convergence_cli.readers._json_table import configs, number, tabulate
from convergence_cli.readers.config import canonical

if TYPE_CHECKING:
    from convergence_cli.readers._guard import ReadOptions, Source
    from convergence_cli.readers._json_lines import Block

FORMAT = "jsonl"
_SNIFFED_LINES = 64
# The records of one block stay in the processor's cache, which reads a quarter faster than 4 MiB ones.
_BLOCK_BYTES = 1 << 19
_NAMES = (".jsonl", ".ndjson", "result.json", ".log.json")


def sniff(source: Source) -> float:
    """The share of the first lines that hold an object with a number in it."""
    head = source.head
    if b"{" not in head:
        return 0.0
    lines = [line for line in head.splitlines()[:_SNIFFED_LINES] if line.strip()]
    if len(lines) == 1 and not head.endswith((b"\n", b"}")):
        # The first line is longer than the head: only its name can tell.
        return 0.6 if head.startswith(b"{") and source.path.name.endswith(_NAMES) else 0.0
    if head[-1:] != b"\n" and len(lines) > 1:
        lines = lines[:-1]
    objects = numbered = 0
    for line in lines:
        if not line.lstrip().startswith(b"{"):
            continue
        try:
            record = parse_line(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            objects += 1
            numbered += _holds_number(record)
    if not numbered or objects < len(lines) / 2:
        return 0.0
    if len(lines) == 1 and any(isinstance(value, list) for value in record.values()):
        return 0.05
    return 0.9 * objects / len(lines)


def read(sources: Sequence[Source], options: ReadOptions) -> list[Run]:
    """One run a file."""
    del options
    return [_read(source) for source in sources]


@dataclass(slots=True)
class _State:
    """What a file has shown so far."""

    placing: Placing | None = None
    config: dict[str, Any] = field(default_factory=dict)
    lines: int = 0
    bad: int = 0
    torn: bool = False
    mmengine: bool = False


def _read(source: Source) -> Run:
    collector = Collector(source.shown)
    state = _State()
    for data in source.line_blocks(_BLOCK_BYTES):
        block = parse_lines(data)
        if block.bad and not data.endswith((b"\n", b"\r")):
            state.torn = True
        else:
            state.bad += block.bad
        _take(block, state, collector)
        state.lines += block.total
    curves = collector.curves()
    if not curves:
        raise source.error(
            "holds no JSON lines with numbers.", "Give the log that has one JSON object with metrics a line."
        )
    notes = list(source.notes)
    if state.bad:
        notes.append(f"skipped {counted(state.bad, 'line')} of something other than JSON")
    if state.torn:
        notes.append("dropped the last line, which was cut off")
    if collector.dropped:
        notes.append(f"read the first {len(curves)} series; more were left out")
    format_ = state.placing.layout.format if state.placing else FORMAT
    if format_ == "detectron2":
        # What it logs of the boxes it found is measured on held-out images: bbox/AP, segm/AP50, box_proposals/AR@100.
        measured = next((curve for curve in curves if curve.name.endswith("/AP")), None)
        curves = tuple(replace(curve, role="val_metric") if curve is measured else curve for curve in curves)
    return Run(source.path.stem, source.shown, format_, curves, canonical(state.config), tuple(notes))


def _take(block: Block, state: _State, collector: Collector) -> None:
    if not block.records:
        return
    records = block.records
    if state.placing is None:
        state.mmengine = any(is_mmengine(record.keys()) for record in records[:_SNIFFED_LINES])
    if state.mmengine:
        records = [record if "iter" in record else {**record, "mode": "val"} for record in records]
    table = tabulate(records)
    if state.placing is None and table:
        state.config = _config(block.records)
        state.placing = Placing(layout(records, table, FORMAT))
    if state.placing is not None:
        state.placing.add(table, len(block.records), collector, block.lines + (state.lines + 1))


def _config(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The run's configuration: the objects named so, and what LLaMA-Factory says in each line."""
    config: dict[str, Any] = {}
    for value in configs(records).values():
        config.update(value)
    if "max_steps" not in config and "current_steps" in records[0]:
        config["max_steps"] = records[0].get("total_steps")
    return config


def _holds_number(record: dict[str, Any]) -> bool:
    return any(
        number(value) is not None or (isinstance(value, dict) and _holds_number(value))
        for value in list(record.values())[:100]
    )

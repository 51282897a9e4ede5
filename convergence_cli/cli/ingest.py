"""``ingest``: the log as tidy rows, one a point."""

import csv
import json
import math
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from convergence_cli.cli import _options as options
from convergence_cli.cli._answer import one_blas_thread
from convergence_cli.cli._output import TextSink, complain, opened
from convergence_cli.cli._settings import settings_from
from convergence_cli.codec import plain
from convergence_cli.errors import EXIT_NO_VERDICT, EXIT_OK, UsageError
from convergence_cli.model import Curve, Run
from convergence_cli.printable import as_cell, printable

FORMATS = ("csv", "jsonl")
COLUMNS = ("run", "series", "role", "step", "epoch", "value", "line")


def command(
    run: options.Runs,
    format: Annotated[str, options.own_format(FORMATS)] = "csv",
    output: options.Output = None,
    metric: options.Metric = None,
    pattern: options.Pattern = None,
    config: options.Config = None,
    isolated: options.Isolated = False,
) -> int:
    """Write the log as tidy rows: run, series, role, step, epoch, value, line."""
    if format not in FORMATS:
        raise UsageError(f"'{printable(format)}' is not a format of ingest.", f"Choose from: {', '.join(FORMATS)}.")
    settings = settings_from(runs=run, config=config, isolated=isolated, output=output, metric=metric, pattern=pattern)
    one_blas_thread()
    from convergence_cli.pipeline import read_paths

    found, errors = read_paths(run, settings, dumps=False)
    for error in errors:
        complain(error.message, error.hint)
    if not found:
        return EXIT_NO_VERDICT
    _note_buckets(found)
    with opened(settings.output) as sink:
        (_write_csv if format == "csv" else _write_jsonl)(found, sink)
    return EXIT_NO_VERDICT if errors else EXIT_OK


def _note_buckets(runs: Sequence[Run]) -> None:
    for run in runs:
        for curve in run.curves:
            if curve.buckets is not None:
                complain(
                    f"{curve.name} has {curve.points:,} points; its {len(curve.value):,} rows are means of"
                    " consecutive points."
                )


def _write_csv(runs: Sequence[Run], sink: TextSink) -> None:
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(COLUMNS)
    for run in runs:
        for curve in run.curves:
            named = [as_cell(run.name), as_cell(curve.name), curve.role or ""]
            writer.writerows([*named, *(_shown(item) for item in point)] for point in _points(curve))


def _write_jsonl(runs: Sequence[Run], sink: TextSink) -> None:
    for run in runs:
        for curve in run.curves:
            named = (run.name, curve.name, curve.role)
            for point in _points(curve):
                row = dict(zip(COLUMNS, (*named, *point), strict=True))
                present = {key: plain(item) for key, item in row.items() if item is not None}
                sink.write(json.dumps(present, allow_nan=False) + "\n")


def _points(curve: Curve) -> Iterator[tuple[Any, Any, Any, Any]]:
    """Step, epoch, value and line of each point; None where the log does not say."""
    nothing = [None] * len(curve.value)
    epoch = nothing if curve.epoch is None else [None if math.isnan(item) else item for item in curve.epoch.tolist()]
    line = nothing if curve.line is None else [item or None for item in curve.line.tolist()]
    steps = [int(item) if item.is_integer() else item for item in curve.step.tolist()]
    return zip(steps, epoch, curve.value.tolist(), line, strict=True)


def _shown(item: float | None) -> str:
    return "" if item is None else repr(item)

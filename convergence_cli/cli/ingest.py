"""``ingest``: the log as tidy rows, one a point."""

import os
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TextIO, cast

import typer

from convergence_cli.cli import _options as options
from convergence_cli.cli._answer import one_blas_thread
from convergence_cli.cli._output import complain, opened
from convergence_cli.cli._settings import settings_from
from convergence_cli.errors import EXIT_NO_VERDICT, EXIT_OK, UsageError
from convergence_cli.model import Run
from convergence_cli.printable import printable

FORMATS = ("csv", "jsonl", "parquet", "sqlite")
_TEXT = FORMATS[:2]
_ENDINGS = {
    **{".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"},
    **dict.fromkeys((".sqlite", ".sqlite3", ".db"), "sqlite"),
}


def command(
    run: options.Runs,
    format: Annotated[
        str | None,
        typer.Option(
            "--format",
            "-f",
            metavar="|".join(FORMATS),
            help="How to write it. Default: as --output ends, else csv.",
            rich_help_panel="Output",
        ),
    ] = None,
    output: options.Output = None,
    metric: options.Metric = None,
    pattern: options.Pattern = None,
    config: options.Config = None,
    isolated: options.Isolated = False,
) -> int:
    """Write the log as tidy rows: run, series, role, step, epoch, value, line and what else is known.

    analyze reads the rows again and judges them as it judges the log.
    """
    if format is not None and format not in FORMATS:
        raise UsageError(f"'{printable(format)}' is not a format of ingest.", f"Choose from: {', '.join(FORMATS)}.")
    settings = settings_from(runs=run, config=config, isolated=isolated, output=output, metric=metric, pattern=pattern)
    chosen = format or _ENDINGS.get(os.path.splitext(settings.output or "")[1].lower(), FORMATS[0])
    _check_place(chosen, settings.output)
    one_blas_thread()
    from convergence_cli.pipeline import read_paths

    write = _writer(chosen)
    found, errors = read_paths(run, settings, dumps=False)
    for error in errors:
        complain(error.message, error.hint)
    if not found:
        return EXIT_NO_VERDICT
    _note_buckets(found)
    with opened(settings.output) as sink:
        # What opened gives is a text file over bytes.
        write(found, sink if chosen in _TEXT else cast("TextIO", sink).buffer)
    return EXIT_NO_VERDICT if errors else EXIT_OK


def _check_place(format: str, output: str | None) -> None:
    if format in _TEXT or output is not None:
        return
    if format == "sqlite":
        raise UsageError("An SQLite database is written to a file.", "Name it: --output rows.sqlite")
    if sys.stdout is None or sys.stdout.isatty():
        raise UsageError("Parquet is not for a terminal.", "Name a file: --output rows.parquet")


def _writer(format: str) -> Callable[[Sequence[Run], Any], None]:
    if format == "parquet":
        from convergence_cli.tidy.parquet import pyarrow_modules, write_parquet

        # Before the log is read, which may take long.
        pyarrow_modules()
        return write_parquet
    if format == "sqlite":
        from convergence_cli.tidy.sqlite import write_sqlite

        return write_sqlite
    from convergence_cli.tidy.text import write_csv, write_jsonl

    return write_csv if format == "csv" else write_jsonl


def _note_buckets(runs: Sequence[Run]) -> None:
    for run in runs:
        for curve in run.curves:
            if curve.buckets is not None:
                complain(
                    f"{curve.name} has {curve.points:,} points; its {len(curve.value):,} rows are means of"
                    " consecutive points, with their number, extremes and spread."
                )

"""``classify``: only the verdict on the curve."""

import json
from dataclasses import replace
from typing import Annotated

from convergence_cli.cli import _options as options
from convergence_cli.cli._answer import analyze_many, complain_of, write_report
from convergence_cli.cli._settings import settings_from
from convergence_cli.codec import to_data
from convergence_cli.errors import EXIT_INTERRUPTED, EXIT_NO_VERDICT, EXIT_OK, UsageError
from convergence_cli.model import Report
from convergence_cli.printable import printable
from convergence_cli.row import rows_of

FORMATS = ("text", "json")
_KEPT = ("name", "path", "format", "verdict")


def command(
    runs: options.Runs,
    format: Annotated[str, options.own_format(FORMATS)] = "text",
    output: options.Output = None,
    metric: options.Metric = None,
    pattern: options.Pattern = None,
    as_of: options.AsOf = None,
    config: options.Config = None,
    isolated: options.Isolated = False,
    quiet: options.Silent = False,
) -> int:
    """One line a run: path, label, confidence and state, with tabs between."""
    if format not in FORMATS:
        raise UsageError(f"'{printable(format)}' is not a format of classify.", f"Choose from: {', '.join(FORMATS)}.")
    settings = settings_from(
        runs=runs, config=config, isolated=isolated, output=output, metric=metric, pattern=pattern, as_of=as_of
    )
    # The verdict needs no rule.
    settings = replace(settings, select=(), extend_select=(), ignore=("ALL",))
    report = analyze_many(runs, settings, quiet=quiet, dumps=False, worst_comes_first=False)
    write_report(_as_json(report) if format == "json" else _as_lines(report), report, settings.output)
    complain_of(report)
    if report.fleet is not None and report.fleet.interrupted:
        return EXIT_INTERRUPTED
    return EXIT_NO_VERDICT if report.errors or not report.runs else EXIT_OK


def _as_lines(report: Report) -> str:
    lines = []
    for row in rows_of(report.runs):
        fields = (printable(row.path), row.label, f"{row.confidence:.3f}", printable(row.state))
        lines.append("\t".join(fields) + "\n")
    return "".join(lines)


def _as_json(report: Report) -> str:
    data = to_data(report)
    data.pop("fleet", None)
    data["runs"] = [{key: run[key] for key in _KEPT} for run in data["runs"]]
    return json.dumps(data, allow_nan=False, indent=2) + "\n"

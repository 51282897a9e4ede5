"""What a notebook shows: the parts of the HTML report for ``Report``, ``RunReport`` and ``Run``, and their tables.

The classes lie below the reporters and know nothing of them: the methods are given to them here, when the package's
public names are first used. They import what they need when they are called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convergence_cli.model import Report, Run, RunReport

if TYPE_CHECKING:
    import pandas as pd

_TEXTS = ("series", "role", "file")


def report_html(report: Report) -> str:
    """``report`` as a part of a page, without script."""
    from convergence_cli.reporters.html import part

    return part(report)


def run_report_html(report: RunReport) -> str:
    """The report on one run as a part of a page, without script."""
    from convergence_cli.reporters.html import run_part

    return run_part(report)


def run_html(run: Run) -> str:
    """The curves of ``run`` and what was read, before anything is judged."""
    import numpy as np

    from convergence_cli.axis import axis_of
    from convergence_cli.features.evidence import Evidence
    from convergence_cli.model import Verdict
    from convergence_cli.reporters.html import reading_part
    from convergence_cli.summary import summarise

    with np.errstate(all="ignore"):
        summary = summarise(Evidence(run), axis_of(run))
    unjudged = Verdict("undetermined", 0.0, "", "")
    return reading_part(RunReport(run.name, run.path, run.format, summary, unjudged, notes=run.notes))


def report_frame(report: Report) -> pd.DataFrame:
    """One row a run, in the order of the report: verdict, best loss, findings by severity, first cause and change."""
    import pandas as pd

    from convergence_cli.row import rows_of

    columns = ("name", "path", "label", "confidence", "state", "fails", "best", "best_step", "best_role", "cause")
    rows = [
        {name: getattr(row, name) for name in columns}
        | {severity: row.found.get(severity, 0) for severity in ("error", "warning", "note")}
        | dict(zip(("change", "from", "to"), row.change or (None, None, None), strict=True))
        for row in rows_of(report.runs)
    ]
    frame: pd.DataFrame = pd.DataFrame(rows)
    return frame


def run_report_frame(report: RunReport) -> pd.DataFrame:
    """One row a finding: rule, severity, confidence, message, place and evidence (a dictionary)."""
    import pandas as pd

    own = ("rule", "name", "severity", "confidence", "message")
    place = ("series", "layer", "first_step", "last_step", "file", "line")
    rows = [
        [*(getattr(one, name) for name in own), *(getattr(one.where, name) for name in place), dict(one.evidence)]
        for one in report.findings
    ]
    frame: pd.DataFrame = pd.DataFrame(rows, columns=[*own, *place, "evidence"])
    return frame


def run_frame(run: Run) -> pd.DataFrame:
    """One row a point, as ``ingest`` writes them: series, role, step, value and what else the log has.

    A long series is kept as buckets: then ``value`` is the mean of one, and ``count``, ``low`` and ``high`` are of it.
    """
    import pandas as pd

    from convergence_cli.tidy.rows import blocks, used_columns

    columns = [name for name in used_columns([run]) if name != "run"]
    parts = [
        pd.DataFrame(
            {name: block.text(name) if name in _TEXTS else block.numbers.get(name, float("nan")) for name in columns},
            index=range(len(block)),
        )
        for block in blocks(run)
    ]
    frame: pd.DataFrame = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
    return frame


def report_plot(report: Report, kind: str = "curves", **look: Any) -> Any:
    """The picture of the worst run, as a matplotlib figure; see ``plots.door.plot_report``."""
    return run_report_plot(report.runs[0], kind, **look)


def run_report_plot(report: RunReport, kind: str = "curves", **look: Any) -> Any:
    """A picture of the run as a matplotlib figure; see ``plots.door.plot_report``."""
    from convergence_cli.plots.door import plot_report

    return plot_report(report, kind, **look)


def run_plot(run: Run, kind: str = "curves", **look: Any) -> Any:
    """A picture of ``run`` as a matplotlib figure; see ``plots.door.plot_run``."""
    from convergence_cli.plots.door import plot_run

    return plot_run(run, kind, **look)


_METHODS: dict[type, dict[str, Any]] = {
    Report: {"_repr_html_": report_html, "to_frame": report_frame, "plot": report_plot},
    RunReport: {"_repr_html_": run_report_html, "to_frame": run_report_frame, "plot": run_report_plot},
    Run: {"_repr_html_": run_html, "to_frame": run_frame, "plot": run_plot},
}


def give_methods() -> None:
    """Give the classes their methods. To do so again changes nothing."""
    for kind, methods in _METHODS.items():
        for name, method in methods.items():
            setattr(kind, name, method)

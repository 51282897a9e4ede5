"""``inspect``: the dumped tensors layer by layer and step by step, and what the rules of tensors find in them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from convergence_cli import __version__
from convergence_cli.cli import _options as options
from convergence_cli.cli._answer import answer, one_blas_thread
from convergence_cli.cli._output import progress
from convergence_cli.cli._settings import settings_from
from convergence_cli.errors import UsageError
from convergence_cli.model import Report, RunError, RunReport
from convergence_cli.printable import printable
from convergence_cli.selection import did_you_mean, select_rules
from convergence_cli.settings import FORMATS, Settings

if TYPE_CHECKING:
    from convergence_cli.model import Run, TensorTable
    from convergence_cli.tensor_table import View

OWN_FORMATS = (*FORMATS, "csv")
_TABLE = "Table"
LAYOUTS = (
    "Read are .npz, .safetensors, .pt and .npy files with the step in their path and keys such as"
    " gradient/fc1.weight, SageMaker Debugger trials, and histograms in TensorBoard event files."
)


def command(
    runs: options.Runs,
    layer: Annotated[
        list[str] | None,
        typer.Option(
            "--layer", metavar="GLOB", help="Only tensors of this layer or name. Repeatable.", rich_help_panel=_TABLE
        ),
    ] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            "--kind",
            metavar="KIND,...",
            help="weight, gradient, update, activation, input, label, output.",
            rich_help_panel=_TABLE,
        ),
    ] = None,
    step: Annotated[
        str | None,
        typer.Option(
            "--step",
            metavar="first|last|all|N|A:B",
            help="Default: the last step of each tensor.",
            rich_help_panel=_TABLE,
        ),
    ] = None,
    sort: Annotated[
        str | None,
        typer.Option(
            "--sort", metavar="COLUMN", help="Default: layer by layer. -COLUMN: descending.", rich_help_panel=_TABLE
        ),
    ] = None,
    limit: Annotated[
        str | None,
        typer.Option("--limit", metavar="N", help="At most N rows a run.", rich_help_panel=_TABLE),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            "--format",
            "-f",
            metavar="FORMAT",
            help=f"{', '.join(OWN_FORMATS)}. Default: text.",
            rich_help_panel="Output",
        ),
    ] = None,
    output: options.Output = None,
    select: options.Select = None,
    ignore: options.Ignore = None,
    extend_select: options.ExtendSelect = None,
    fail_on: options.FailOn = None,
    exit_zero: options.ExitZero = False,
    metric: options.Metric = None,
    pattern: options.Pattern = None,
    as_of: options.AsOf = None,
    config: options.Config = None,
    isolated: options.Isolated = False,
    color: options.Color = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> int:
    """Show the dumped tensors layer by layer, and apply the rules of tensors."""
    if format is not None and format not in OWN_FORMATS:
        raise UsageError(
            f"'{printable(format)}' is not a format of inspect.",
            f"{did_you_mean(format, OWN_FORMATS)}Choose from: {', '.join(OWN_FORMATS)}.",
        )
    settings = settings_from(
        runs=runs,
        config=config,
        isolated=isolated,
        format=None if format == "csv" else format,
        output=output,
        select=select,
        ignore=ignore,
        extend_select=extend_select,
        fail_on=fail_on,
        exit_zero=exit_zero,
        metric=metric,
        pattern=pattern,
        as_of=as_of,
        color=color,
    )
    settings = _with_tensor_rules(settings if format != "csv" else replace(settings, format="csv"))
    one_blas_thread()
    from convergence_cli.cli._tensor_view import view_from

    view = view_from(layers=layer, kinds=kind, step=step, sort=sort, limit=limit)
    return answer(_inspect(runs, settings, view, quiet=quiet), settings, quiet=quiet, verbose=verbose)


def _with_tensor_rules(settings: Settings) -> Settings:
    """``settings`` in which only rules that need tensors are left of those selected."""
    from convergence_cli.features import sagemaker, tensors
    from convergence_cli.rules import all_rules

    chosen = select_rules(
        all_rules(),
        profile=settings.profile,
        select=settings.select,
        ignore=settings.ignore,
        extend_select=settings.extend_select,
    )
    of_tensors = tensors.FEATURES.keys() | (sagemaker.FEATURES.keys() - sagemaker.OF_LOSSES)
    codes = tuple(rule.code for rule in chosen if of_tensors & set(rule.needs))
    return replace(settings, select=codes, ignore=() if codes else ("ALL",), extend_select=())


def _inspect(paths: Sequence[str], settings: Settings, view: "View", *, quiet: bool) -> Report:
    from convergence_cli.as_of import as_of
    from convergence_cli.pipeline import diagnose, read_paths
    from convergence_cli.tensor_table import table_of, viewed

    judged: list[RunReport] = []
    whole: list[TensorTable] = []
    with progress(quiet) as show:
        found, errors = read_paths(paths, settings)
        for run in found:
            stats = run.tensors if settings.as_of is None else as_of(run, settings.as_of).tensors
            if stats is None or not len(stats):
                errors.append(_no_dumps(run, settings))
                continue
            if show is not None:
                show(run.name)
            report = diagnose(run, settings)
            whole.append(table_of(stats, report.findings))
            judged.append(replace(report, tensors=viewed(whole[-1], view)))
    if judged and not any(report.tensors and report.tensors.rows for report in judged):
        from convergence_cli.cli._tensor_view import nothing_shown

        raise nothing_shown(whole)
    return Report(tuple(judged), tuple(errors), __version__)


def _no_dumps(run: "Run", settings: Settings) -> RunError:
    if run.tensors is None or not len(run.tensors):
        return RunError(run.path, f"{printable(run.path)} holds no tensor dumps.", LAYOUTS)
    return RunError(
        run.path,
        f"{printable(run.path)} holds no tensor dumps up to step {settings.as_of:.12g}.",
        f"The first is of step {run.tensors.steps[0]:.12g}: give that or a later one to --as-of.",
    )

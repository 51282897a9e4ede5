"""``analyze``: verdict, findings, causes and remedies."""

from convergence_cli.cli import _options as options
from convergence_cli.cli._answer import analyze_many, answer
from convergence_cli.cli._settings import settings_from


def command(
    runs: options.Runs,
    format: options.Format = None,
    output: options.Output = None,
    profile: options.Profile = None,
    select: options.Select = None,
    ignore: options.Ignore = None,
    extend_select: options.ExtendSelect = None,
    fail_on: options.FailOn = None,
    exit_zero: options.ExitZero = False,
    metric: options.Metric = None,
    pattern: options.Pattern = None,
    as_of: options.AsOf = None,
    group_by: options.GroupBy = None,
    jobs: options.Jobs = None,
    engine: options.Engine = None,
    no_cache: options.NoCache = False,
    config: options.Config = None,
    isolated: options.Isolated = False,
    color: options.Color = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    curves: options.Curves = False,
    plot: options.Plot = None,
) -> int:
    """Judge runs: what is wrong, why, and what to change."""
    settings = settings_from(
        runs=runs,
        config=config,
        isolated=isolated,
        format=format,
        output=output,
        profile=profile,
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
    if plot is not None:
        from convergence_cli.cli.plot import check_plot, draw_worst

        check_plot(plot, runs)
    report = analyze_many(
        runs, settings, quiet=quiet, group_by=group_by or (), jobs=jobs, engine=engine, cached=not no_cache
    )
    code = answer(report, settings, quiet=quiet, verbose=verbose, curves=curves)
    return code if plot is None else draw_worst(report, plot, code)

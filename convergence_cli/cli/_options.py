"""The options that several commands share, each described once."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from convergence_cli.model import PROFILES
from convergence_cli.settings import COLORS, FAIL_ON, FORMATS

_RULES, _SETTINGS, _OUTPUT, _FLEET = "Rules", "Settings", "Output", "Many runs"

Runs = Annotated[
    list[str],
    typer.Argument(metavar="RUN", help="Log files or run folders; - reads standard input.", show_default=False),
]
Format = Annotated[
    str | None,
    typer.Option(
        "--format", "-f", metavar="FORMAT", help=f"{', '.join(FORMATS)}. Default: text.", rich_help_panel=_OUTPUT
    ),
]


def own_format(formats: Sequence[str]) -> Any:
    """The ``--format`` of a command that has formats of its own."""
    return typer.Option("--format", "-f", metavar="|".join(formats), help="How to write it.", rich_help_panel=_OUTPUT)


Output = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="Write there, at once, and only if a run was judged.",
        rich_help_panel=_OUTPUT,
    ),
]
Color = Annotated[
    str | None,
    typer.Option("--color", metavar="|".join(COLORS), help="Default: auto.", rich_help_panel=_OUTPUT),
]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet", "-q", help="Verdicts and findings only (text, markdown); no progress.", rich_help_panel=_OUTPUT
    ),
]
Silent = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.", rich_help_panel=_OUTPUT)]
Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose",
        "-v",
        help="Everything, uncut: all runs, causes, remedies, numbers and skipped rules (text).",
        rich_help_panel=_OUTPUT,
    ),
]
Curves = Annotated[
    bool,
    typer.Option("--curves", help="Draw the losses as a chart with axes (text).", rich_help_panel=_OUTPUT),
]
Plot = Annotated[
    str | None,
    typer.Option(
        "--plot",
        metavar="FILE",
        help="Draw the curves of the run, of several the worst one: .png, .svg or .pdf.",
        rich_help_panel=_OUTPUT,
    ),
]
FailOn = Annotated[
    str | None,
    typer.Option(
        "--fail-on",
        metavar="|".join(FAIL_ON),
        help="The least severity that gives exit code 1. Default: error.",
        rich_help_panel=_RULES,
    ),
]
ExitZero = Annotated[bool, typer.Option("--exit-zero", help="Exit 0 also with findings.", rich_help_panel=_RULES)]
Profile = Annotated[
    str | None,
    typer.Option(
        "--profile",
        metavar="|".join(PROFILES),
        help="Which set of rules: sagemaker has those of SageMaker Debugger, with its defaults. Default: default.",
        rich_help_panel=_RULES,
    ),
]
Select = Annotated[
    list[str] | None,
    typer.Option(
        "--select",
        metavar="RULE,...",
        help="Only these rules: code, beginning of a code, name, or ALL.",
        rich_help_panel=_RULES,
    ),
]
Ignore = Annotated[
    list[str] | None,
    typer.Option("--ignore", metavar="RULE,...", help="Not these rules.", rich_help_panel=_RULES),
]
ExtendSelect = Annotated[
    list[str] | None,
    typer.Option("--extend-select", metavar="RULE,...", help="These rules as well.", rich_help_panel=_RULES),
]
Metric = Annotated[
    list[str] | None,
    typer.Option(
        "--metric",
        "-m",
        metavar="ROLE=NAME",
        help="Read series NAME in that role, for example train_loss=loss/total. Repeatable.",
        rich_help_panel=_SETTINGS,
    ),
]
Pattern = Annotated[
    str | None,
    typer.Option(
        "--pattern",
        metavar="REGEX",
        help="How a text log is written, with named groups: 'it (?P<step>\\d+) loss (?P<loss>\\S+)'.",
        rich_help_panel=_SETTINGS,
    ),
]
AsOf = Annotated[
    str | None,
    typer.Option(
        "--as-of",
        metavar="STEP",
        help="Judge as the log was when training first passed STEP (an epoch, where the log counts epochs).",
        rich_help_panel=_SETTINGS,
    ),
]
Config = Annotated[
    str | None,
    typer.Option("--config", metavar="FILE", help="Read settings from this file only.", rich_help_panel=_SETTINGS),
]
Isolated = Annotated[bool, typer.Option("--isolated", help="Read no settings file.", rich_help_panel=_SETTINGS)]
GroupBy = Annotated[
    list[str] | None,
    typer.Option(
        "--group-by",
        metavar="SETTING,...",
        help="Compare groups of runs that are alike in these settings, such as learning_rate,optimizer.",
        rich_help_panel=_FLEET,
    ),
]
Jobs = Annotated[
    str | None,
    typer.Option(
        "--jobs", "-j", metavar="N", help="How many processes work. Default: one a core.", rich_help_panel=_FLEET
    ),
]
Engine = Annotated[
    str | None,
    typer.Option(
        "--engine",
        metavar="processes|dask",
        help="Who works: processes here, or the workers of a Dask cluster: dask=tcp://host:8786. Default: processes.",
        rich_help_panel=_FLEET,
    ),
]
NoCache = Annotated[
    bool,
    typer.Option("--no-cache", help="Neither look up nor keep what has been judged before.", rich_help_panel=_FLEET),
]

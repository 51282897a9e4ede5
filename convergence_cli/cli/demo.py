"""``demo``: the report on a real run that comes with the package."""

from dataclasses import replace
from pathlib import Path

from convergence_cli.cli import _options as options
from convergence_cli.cli._answer import analyze_many, answer
from convergence_cli.cli._output import complain, say, working_directory
from convergence_cli.cli._settings import settings_from
from convergence_cli.errors import EXIT_NO_VERDICT
from convergence_cli.reporters._location import relative

FOLDER = Path(__file__).parent.parent / "demo"
_NOT_A_RUN = (".md", ".py")


def command(
    format: options.Format = None,
    output: options.Output = None,
    color: options.Color = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    curves: options.Curves = False,
) -> int:
    """Show the report on a real run that comes with the package."""
    runs = bundled_runs()
    if not runs:
        complain("The demonstration run is not installed.", "Install ctroubleshoot again.")
        return EXIT_NO_VERDICT
    settings = settings_from(isolated=True, format=format, output=output, color=color)
    say(f"$ ctroubleshoot analyze {' '.join(runs)}")
    # The run has findings, and showing them is what the demonstration is for.
    settings = replace(settings, exit_zero=True)
    return answer(analyze_many(runs, settings, quiet=quiet), settings, quiet=quiet, verbose=verbose, curves=curves)


def bundled_runs() -> list[str]:
    """The runs in the package, shown from the working directory where they lie below it."""
    here = working_directory()
    found = sorted(item for item in FOLDER.glob("[!._]*") if item.suffix not in _NOT_A_RUN)
    return [relative(str(item), here) for item in found]

"""The entry point: turns every way a command can end into an exit code.

``--version`` is answered before anything outside the standard library is imported.
"""

from __future__ import annotations

import os
import sys

from convergence_cli import __version__

PROGRAM = "ctroubleshoot"


def main() -> int:
    """Run the command line in ``sys.argv`` and return its exit code (see ``errors``)."""
    arguments = sys.argv[1:]
    if sys.stdout is None:
        from convergence_cli.cli._closed import ClosedOutput

        sys.stdout = ClosedOutput()
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
    return _flushed(_run(arguments))


def _run(arguments: list[str]) -> int:
    from convergence_cli import errors

    try:
        if arguments[:1] == ["--version"]:
            sys.stdout.write(f"{PROGRAM} {__version__}\n")
            return errors.EXIT_OK
        from convergence_cli.cli.app import run

        return run(arguments)
    except KeyboardInterrupt:
        return errors.EXIT_INTERRUPTED
    except errors.CtroubleshootError as error:
        _say(f"{error.message} {error.hint}")
        return error.exit_code
    except (BrokenPipeError, SystemExit):
        # No code here raises SystemExit: it is the help page, giving up on a closed pipe with code 1.
        _drop_output()
        return errors.EXIT_OK
    except Exception as error:
        return _bug(error, arguments)


def _bug(error: Exception, arguments: list[str]) -> int:
    from convergence_cli.errors import EXIT_BUG

    debug = os.environ.get("CTROUBLESHOOT_DEBUG") or {"-v", "--verbose"} & set(arguments)
    if debug:
        import traceback

        _say("".join(traceback.format_exception(error)))
    advice = "report it with the traceback above" if debug else "run it again with --verbose and report what it says"
    _say(f"internal error: {type(error).__name__}: {error}. This is a bug in {PROGRAM} {__version__}; {advice}.")
    return EXIT_BUG


def _say(text: str) -> None:
    """One message on stderr; only a traceback of this program keeps its lines."""
    from convergence_cli.printable import printable

    if sys.stderr is not None:
        lines = [printable(line, 2000) for line in text.splitlines()]
        try:
            print(f"{PROGRAM}: " + "\n".join(lines).strip(), file=sys.stderr)  # noqa: T201
        except OSError:
            # The exit code still says it.
            return


def _flushed(code: int) -> int:
    """``code``, once all is written; a reader that has gone away is no error."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
    except OSError as error:
        from convergence_cli.errors import EXIT_NO_VERDICT

        _drop_output()
        _say(f"The output cannot be written: {error.strerror}. Check the disk, or write it elsewhere.")
        return EXIT_NO_VERDICT
    return code


def _drop_output() -> None:
    """Point stdout at nothing, so that the interpreter's last flush cannot fail."""
    with open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())

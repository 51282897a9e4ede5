"""Reports on many runs, on disk: memory holds a line of each and reads the rest again when it is asked for."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, Any, cast, overload

from convergence_cli.codec import run_data, run_from
from convergence_cli.fleet.judging import unpacked
from convergence_cli.row import RowedReports

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convergence_cli.model import RunReport
    from convergence_cli.row import RunRow


# So many are held in memory before a file is opened.
HELD = 200


class Shelf:
    """Reports put away, each under the number in which order it came: the first in memory, further ones in a file."""

    def __init__(self) -> None:
        self._held: list[bytes | RunReport] = []
        self._file: IO[bytes] | None = None
        self._ends = array("q", [0])

    def __del__(self) -> None:
        if self._file is not None:
            self._file.close()

    def put(self, report: bytes | RunReport) -> int:
        """Put ``report`` away; its number."""
        if len(self._held) < HELD or not isinstance(report, bytes):
            self._held.append(report)
            return len(self._held) - 1
        if self._file is None:
            import tempfile

            self._file = tempfile.TemporaryFile(prefix="ctroubleshoot-")  # noqa: SIM115
        self._file.seek(self._ends[-1])
        self._file.write(report)
        self._ends.append(self._ends[-1] + len(report))
        return len(self._held) + len(self._ends) - 2

    def get(self, number: int) -> RunReport:
        """The report that was put away under ``number``."""
        found = self._held[number] if number < len(self._held) else self.data(number)
        if isinstance(found, bytes):
            found = unpacked(found)
        return run_from(found) if isinstance(found, dict) else cast("RunReport", found)

    def data(self, number: int) -> Any:
        """The report under ``number`` as plain data."""
        at = number - len(self._held)
        if at < 0 or self._file is None:
            found = self._held[number]
            return unpacked(found) if isinstance(found, bytes) else run_data(found)
        self._file.seek(self._ends[at])
        return unpacked(self._file.read(self._ends[at + 1] - self._ends[at]))


class KeptReports(RowedReports):
    """The reports on ``shelf`` under ``numbers``, in that order; ``rows`` are their lines."""

    def __init__(self, shelf: Shelf, numbers: Sequence[int], rows: Sequence[RunRow]) -> None:
        self._shelf = shelf
        self._numbers = numbers
        self.rows = rows

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> RunReport: ...

    @overload
    def __getitem__(self, index: slice) -> KeptReports: ...

    def __getitem__(self, index: int | slice) -> RunReport | KeptReports:
        if isinstance(index, slice):
            return KeptReports(self._shelf, self._numbers[index], self.rows[index])
        return self._shelf.get(self._numbers[index])

    def __iter__(self) -> Iterator[RunReport]:
        return map(self._shelf.get, self._numbers)

    def each_data(self) -> Iterator[dict[str, Any]]:
        """Each report as plain data."""
        return map(self._shelf.data, self._numbers)

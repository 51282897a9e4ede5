"""The settings of many runs as columns. What all runs share is held once."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Settings under which a run may be found, before those of its own writing.
_FIRST = (
    "learning_rate", "optimizer", "batch_size", "weight_decay", "momentum", "warmup_steps", "lr_schedule", "epochs",
    "max_steps", "dropout", "seed",
)  # fmt: skip


class Columns:
    """One column a setting, one place a run. A setting that a run does not have is None there."""

    def __init__(self) -> None:
        self._first: dict[str, Any] = {}
        self._others: dict[str, dict[int, Any]] = defaultdict(dict)
        self._held: dict[str, int] = defaultdict(int)
        self._runs = 0

    def add(self, settings: Mapping[str, Any]) -> None:
        """The settings of one more run."""
        for key, value in settings.items():
            self._held[key] += 1
            if key not in self._first:
                self._first[key] = value
                # The runs before it did not have this setting.
                self._others[key].update(dict.fromkeys(range(self._runs)))
            elif value != self._first[key]:
                self._others[key][self._runs] = value
        for key in self._first.keys() - settings.keys():
            self._others[key][self._runs] = None
        self._runs += 1

    def differing(self) -> list[str]:
        """The settings that differ between the runs, the usual names first."""
        found = [key for key, others in self._others.items() if others]
        rank = {key: number for number, key in enumerate(_FIRST)}
        return sorted(found, key=lambda key: (rank.get(key, len(rank)), key))

    def known(self) -> list[str]:
        """Every setting that any run has."""
        return sorted(self._first)

    def value(self, key: str, run: int) -> Any:
        """The value of setting ``key`` in the run at place ``run``."""
        return self._others[key].get(run, self._first[key]) if key in self._first else None

    def values(self, key: str) -> list[Any]:
        """The values of setting ``key`` in all runs."""
        return [self.value(key, run) for run in range(self._runs)]

    def chosen(self, order: Sequence[int]) -> Columns:
        """The same for the runs at the places ``order``, in that order."""
        found = Columns()
        for run in order:
            own = {key: self.value(key, run) for key in self._first}
            found.add({key: value for key, value in own.items() if value is not None})
        return found

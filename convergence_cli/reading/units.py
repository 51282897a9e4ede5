"""What can be read on its own: the logs that may be of one run, and the dumps beside them."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from convergence_cli.errors import SourceError
from convergence_cli.readers.discover import listing, no_log
from convergence_cli.tensors.attach import unattached

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from convergence_cli.readers._groups import Group
    from convergence_cli.readers._guard import Source
    from convergence_cli.readers.discover import Listing
    from convergence_cli.tensors.find import DumpSet

# So many logs in one folder are runs of their own, and not the same run in several formats.
MOST_TOGETHER = 8
# Folders that a writer makes inside a run: what lies in them is of the run above.
_INNER = re.compile(
    r"(?i)^(files|logs?|train|training|val|valid|validation|eval|test|metrics|plots|tensorboard|tb|tb_logs|csv|csv_logs"
    r"|vis_data|checkpoints?|events|summaries|summary|catboost_info|dvclive|\d{8}_\d{6})$"
)
# What the Trainer of Hugging Face calls the folder of its event files: runs/Nov28_12-00-00_host.
_TRAINER_EVENTS = re.compile(r"^[A-Z][a-z]{2}\d\d_\d\d-\d\d-\d\d_")


@dataclass(frozen=True, slots=True)
class Unit:
    """Logs and dumps to be read together, at ``path`` as it was asked for. ``alone``: nothing else lies there.

    ``source`` stands for the groups where the path is a file or a stream; ``tensors``: those are wanted.
    """

    path: str
    groups: tuple[Group, ...] = ()
    dumps: tuple[DumpSet, ...] = ()
    source: Source | None = None
    alone: bool = False
    tensors: bool = True

    @property
    def name(self) -> str:
        """What to call it while it is read."""
        return self.groups[0].name if self.groups else self.path

    @property
    def above(self) -> str:
        """The folder in which further parts of the run may lie beside it."""
        return str(home_of(self.groups[0]).parent) if self.groups else f"{self.path}/"


@dataclass(slots=True)
class Units:
    """The units at one path, the errors on what lies there, and the one to tell where no unit holds anything."""

    units: list[Unit] = field(default_factory=list)
    errors: list[SourceError] = field(default_factory=list)
    nothing: SourceError | None = None


def units_at(path: str, *, dumps: bool = True) -> Units:
    """What lies at ``path``, in units; no log is opened. With ``dumps`` the tensors there, too."""
    sets = unattached(path).sets if dumps else []
    try:
        found = listing(path)
    except SourceError as error:
        if sets:
            return Units([Unit(path, dumps=tuple(sets), alone=True)])
        return Units(errors=[error])
    if found.source is not None:
        return Units([Unit(path, source=found.source, dumps=tuple(sets), alone=True, tensors=dumps)])
    units = _units(found, sets, dumps)
    return Units(units, list(found.errors), None if found.errors else no_log(found))


def home_of(group: Group) -> Path:
    """The folder of the run: above those that its writers make in it, and not above the root."""
    folder = group.folder
    while folder != group.root:
        if _TRAINER_EVENTS.match(folder.name) and folder.parent.name == "runs" and folder.parent != group.root:
            folder = folder.parent.parent
        elif _INNER.match(folder.name):
            folder = folder.parent
        else:
            break
    return folder


def _units(found: Listing, sets: Sequence[DumpSet], tensors: bool) -> list[Unit]:
    homes: dict[Path, list[Group]] = defaultdict(list)
    for group in found.groups:
        homes[home_of(group)].append(group)
    parts: list[list[Group]] = []
    for groups in homes.values():
        parts.extend([groups] if len(groups) <= MOST_TOGETHER else _by_stem(groups))
    alone = len(found.groups) == 1
    return [
        Unit(found.path, tuple(groups), tuple(dumps), alone=alone, tensors=tensors)
        for groups, dumps in _with_dumps(parts, sets)
    ]


def _by_stem(groups: Iterable[Group]) -> Iterable[list[Group]]:
    """``run_1.csv`` and ``run_1.log`` may be one run, in a folder of many."""
    stems: dict[tuple[Path, str], list[Group]] = defaultdict(list)
    for group in groups:
        member = group.members[0]
        # Event files of one folder are a group; their names have no stem.
        stems[(group.folder, member.name if len(group.members) > 1 else member.stem)].append(group)
    return stems.values()


def _with_dumps(parts: Sequence[list[Group]], sets: Sequence[DumpSet]) -> Iterable[tuple[list[Group], list[DumpSet]]]:
    """Each part with the dumps in, above or below its folders; parts that share dumps become one."""
    inside: dict[Path, set[int]] = defaultdict(set)
    exact: dict[Path, set[int]] = defaultdict(set)
    if sets:
        for number, groups in enumerate(parts):
            for group in groups:
                exact[group.folder].add(number)
                for folder in (group.folder, *group.folder.parents):
                    inside[folder].add(number)
    whole = list(range(len(parts)))
    taken: dict[int, list[DumpSet]] = defaultdict(list)
    left: list[DumpSet] = []
    for one in sets:
        near = set(inside.get(one.folder, ()))
        for folder in one.folder.parents:
            near |= exact.get(folder, set())
        if not near:
            left.append(one)
            continue
        first = min(_root(whole, number) for number in near)
        for number in near:
            whole[_root(whole, number)] = first
        taken[first].append(one)
    merged: dict[int, tuple[list[Group], list[DumpSet]]] = {}
    for number, groups in enumerate(parts):
        merged.setdefault(_root(whole, number), ([], []))[0].extend(groups)
    for number, dumps in taken.items():
        merged[_root(whole, number)][1].extend(dumps)
    return [*merged.values(), *(([], [one]) for one in left)]


def _root(whole: list[int], number: int) -> int:
    while whole[number] != number:
        number = whole[number]
    return number

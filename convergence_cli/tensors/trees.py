"""What XGBoost's hook of SageMaker Debugger saves of a boosted model: its newest tree, and feature importances.

Names (``smdebug/xgboost/hook.py``): ``trees/Node``, ``trees/Yes``, ``trees/No`` with one entry a node, where a child
is ``tree-node`` and a leaf has ``nan``; ``feature_importance/TYPE/FEATURE``, each type adding up to 1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from convergence_cli.tensor_stats import TreeFacts

if TYPE_CHECKING:
    from convergence_cli.readers._smdebug_index import Record

MAX_FEATURES = 10_000
UNKNOWN = float("nan")


@dataclass(slots=True)
class _Step:
    nodes: list[int] = field(default_factory=list)
    children: dict[str, list[int | None]] = field(default_factory=dict)
    importance: dict[str, dict[str, float]] = field(default_factory=dict)

    def depth(self) -> float:
        """How many splits lead to the deepest leaf; without the children, as in a tree whose nodes are all there."""
        if not self.nodes or min(self.nodes) < 0:
            return UNKNOWN
        if any(len(self.children.get(side, ())) != len(self.nodes) for side in ("Yes", "No")):
            return float((max(self.nodes) + 1).bit_length() - 1)
        depth = {min(self.nodes): 0}
        nodes = zip(self.nodes, self.children["Yes"], self.children["No"], strict=True)
        for node, *below in sorted(nodes, key=lambda one: one[0]):
            for child in below:
                # A child has a larger number than its parent: what says otherwise is no tree.
                if child is not None and child > node and node in depth:
                    depth[child] = depth[node] + 1
        return float(max(depth.values()))


@dataclass(slots=True)
class Trees:
    """The trees and importances of a trial, gathered record by record."""

    steps: dict[int, _Step] = field(default_factory=dict)

    def add(self, step: int, record: Record) -> None:
        """Take what one record of ``trees/`` or ``feature_importance/`` tells."""
        first, _, rest = record.message.name.partition("/")
        one = self.steps.setdefault(step, _Step())
        if first == "trees":
            if rest == "Node":
                values = record.numbers()
                one.nodes = [] if values is None else [int(value) for value in values if abs(value) < 1 << 62]
            elif rest in ("Yes", "No"):
                one.children[rest] = [_child(text) for text in record.message.texts]
            return
        kind, _, feature = rest.partition("/")
        values = record.numbers()
        of_kind = one.importance.setdefault(kind, {}) if len(one.importance) < 16 or kind in one.importance else {}
        if values is not None and len(values) == 1 and feature and len(of_kind) < MAX_FEATURES:
            of_kind[feature] = float(values[0])

    def facts(self) -> tuple[TreeFacts, ...]:
        """One entry a step; of the importances those by ``weight``, or the first type that is there."""
        found = []
        for step, one in sorted(self.steps.items()):
            kind = "weight" if "weight" in one.importance else next(iter(one.importance), "weight")
            found.append(TreeFacts(float(step), one.depth(), one.importance.get(kind, {}), kind))
        return tuple(found)


def _child(text: bytes) -> int | None:
    number = text.rpartition(b"-")[2]
    return int(number) if number.isdigit() and len(number) < 16 else None

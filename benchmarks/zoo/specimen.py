"""One run of the zoo on disk: its log, what our recorder made of it, and the truth."""

from __future__ import annotations

import json
import math
import random
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo import players
from zoo.building import build
from zoo.training import Trace, train
from zoo.truth import Seen, hidden_by, labels_of
from zoo.writing import FORMATS, write

if TYPE_CHECKING:
    from zoo.catalogue import Specimen
    from zoo.log import Log
    from zoo.plan import Plan


SHIFTED = frozenset({"large-constant"})


@dataclass(frozen=True, slots=True)
class Truth:
    """What is known of a run. ``labels``: those that are right, the likeliest first.

    ``fixed_labels``: those of a training whose losses tell nothing, which are right at every step; its trace is empty.
    ``healthy``: nothing was injected, and the only right label is converging where labels are not fixed.
    """

    name: str
    kind: str
    fault: str | None
    cause: str | None
    severity: int | None
    architecture: str
    dataset: str
    optimizer: str
    format: str
    labels: tuple[str, ...]
    trace: Trace
    seen: Seen
    fixed_labels: tuple[str, ...] = ()

    @property
    def healthy(self) -> bool:
        if self.fixed_labels:
            return self.fault is None and self.labels[0] in ("converging", "undetermined")
        return self.fault is None and self.labels == ("converging",)

    def labels_at(self, step: float) -> tuple[str, ...]:
        """The labels that were right when training first reached ``step``."""
        if self.fixed_labels:
            return self.fixed_labels
        trace = self.trace
        count = sum(one <= step for one in trace.step)
        broken = trace.nonfinite_from is not None and trace.nonfinite_from <= step
        seen = replace(
            self.seen, evaluations=math.ceil(self.seen.evaluations * min(step / max(trace.step[-1], 1), 1.0))
        )
        return labels_of(trace.train[:count], trace.val[:count], trace.constant, broken, seen)


def made(specimen: Specimen, root: Path) -> None:
    """Trains and writes one run into its folder in ``root``, unless it is there."""
    folder = root / specimen.name
    if not (folder / "truth.json").exists():
        shutil.rmtree(folder, ignore_errors=True)
        make(specimen, folder)


def make(specimen: Specimen, folder: Path) -> None:
    """Trains ``specimen`` and writes it into ``folder``; the truth comes last."""
    folder.mkdir(parents=True)
    known: dict[str, Any] = {
        "name": specimen.name,
        "kind": specimen.kind,
        "fault": specimen.kind if specimen.fault else None,
        "cause": specimen.fault.cause if specimen.fault else None,
        "severity": specimen.severity,
    }
    known |= _trained(specimen.plan(), folder) if specimen.has_plan else _played(specimen, folder)
    (folder / "truth.json").write_text(json.dumps(known))


def _trained(plan: Plan, folder: Path) -> dict[str, Any]:
    training = build(plan)
    log, trace = train(training, folder / "recorded")
    dice = random.Random(plan.seed)
    formats = [name for name in FORMATS if name != "keras" or log.per_epoch]
    how = dice.choice(formats)
    write(log, folder / "run", how)
    return {
        "architecture": plan.architecture,
        "dataset": plan.dataset,
        "optimizer": plan.optimizer,
        "format": how,
        "learning_rate": plan.learning_rate,
        "batch_size": training.batch_size,
        "seen": {
            "chance": sees_chance(log),
            "evaluations": len(log.val_loss),
            "points": points_of(log),
            "hides": hides([one[2] for one in log.train_loss], [one[2] for one in log.val_loss]),
        },
        "trace": trace.as_data(),
    }


def _played(specimen: Specimen, folder: Path) -> dict[str, Any]:
    seed, dice = specimen.drawn()
    played = players.PLAYERS[specimen.kind](seed, dice, folder / "recorded")
    how = dice.choice(players.FORMATS)
    players.write(played, folder / "run", how)
    last = played.rows[-1]["step"]
    return {
        "architecture": played.architecture,
        "dataset": played.dataset,
        "optimizer": played.config["optimizer"],
        "format": how,
        "learning_rate": played.config["learning_rate"],
        "batch_size": played.config["batch_size"],
        "seen": {"chance": False, "evaluations": 0, "points": len(played.rows)},
        "trace": Trace(step=[0, last], planned=last).as_data(),
        "fixed_labels": players.LABELS,
        "reached": played.reached,
    }


def sees_chance(log: Log) -> bool:
    """Whether the log shows what chance level is."""
    return "num_classes" in log.config


def hides(train: list[float], val: list[float]) -> float:
    """The share of the loss by which a change drowns in the noise, of training or of validation, which shows less."""
    return min(hidden_by(series) if len(series) >= 5 else 1.0 for series in (train, val))


def points_of(log: Log) -> int:
    """Points of the training loss."""
    return len(log.train_loss)


def truth_of(folder: Path) -> Truth:
    """The truth beside a run; the labels come from the trace and are not stored."""
    data = json.loads((folder / "truth.json").read_text())
    trace, seen = Trace(**data["trace"]), Seen(**data["seen"], shifted=data["kind"] in SHIFTED)
    fixed = tuple(data.get("fixed_labels", ()))
    labels = fixed or labels_of(trace.train, trace.val, trace.constant, trace.nonfinite_from is not None, seen)
    kept = ("name", "kind", "fault", "cause", "severity", "architecture", "dataset", "optimizer", "format")
    return Truth(**{key: data[key] for key in kept}, labels=labels, trace=trace, seen=seen, fixed_labels=fixed)

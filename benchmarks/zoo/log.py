"""What a training logged, before it is written in the format of some tool."""

from __future__ import annotations

from dataclasses import dataclass, field

# (step, epoch, value): the step counts updates from 1, the epoch is a fraction of passes over the data.
Point = tuple[int, float, float]


@dataclass(slots=True)
class Log:
    """The series of one run, each a list of (step, epoch, value) in the order in which they were logged.

    ``per_epoch``: the training series hold one mean an epoch (or one a part of a long epoch) and not single
    batches. A series that the user did not log is empty. A restart is a step that goes back.
    """

    train_loss: list[Point] = field(default_factory=list)
    val_loss: list[Point] = field(default_factory=list)
    train_accuracy: list[Point] = field(default_factory=list)
    val_accuracy: list[Point] = field(default_factory=list)
    learning_rate: list[Point] = field(default_factory=list)
    grad_norm: list[Point] = field(default_factory=list)
    per_epoch: bool = False
    config: dict[str, object] = field(default_factory=dict)

    @property
    def last_step(self) -> int:
        """The last step of the training and validation losses; 0 where there is none."""
        return max((point[0] for series in (self.train_loss, self.val_loss) for point in series), default=0)

"""The remedies: which causes each answers, how its value is found, and what it risks. Data, read by ``remedies``.

``answers`` maps a cause to the share of runs with that cause that the remedy alone is expected to cure; it decides the
order (see ``remedies``). The shares are rough: what was measured is in docs/remedies.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from convergence_cli.diagnosis import data_values, length_values, model_values, rate_values, tensor_values

if TYPE_CHECKING:
    from convergence_cli.features.evidence import Evidence

# A change and how its value was found; None where the remedy does not apply to this run.
Value = tuple[dict[str, Any], str]
Facts = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class RemedyModel:
    """One remedy. ``turns``: which way it turns what others may turn the other way (``rate``: 1 is up)."""

    name: str
    answers: Mapping[str, float]
    value: Callable[[Evidence, Facts], Value | None]
    risk: str | None = None
    turns: Mapping[str, int] = field(default_factory=dict)


REMEDIES = (
    RemedyModel(
        "mend-schedule",
        {"learning-rate-too-low": 0.99, "learning-rate-too-high": 0.99, "missing-warmup": 0.3},
        rate_values.mended_schedule,
    ),
    RemedyModel(
        "lower-learning-rate",
        {
            "learning-rate-too-high": 0.95,
            "missing-warmup": 0.85,
            "missing-decay": 0.4,
            "batch-too-small": 0.6,
            "exploding-gradient": 0.3,
            "stale-gradients": 0.3,
            "bad-batch": 0.05,
            "dying-relu": 0.1,
        },
        rate_values.lower_rate,
        "slower progress at first",
        {"rate": -1},
    ),
    RemedyModel(
        "raise-learning-rate",
        {"learning-rate-too-low": 0.95, "batch-too-large": 0.1},
        rate_values.raise_rate,
        "may become unstable: watch the first 200 steps",
        {"rate": 1},
    ),
    RemedyModel("add-warmup", {"missing-warmup": 0.8, "learning-rate-too-high": 0.1}, rate_values.warmup),
    RemedyModel("decay-learning-rate", {"missing-decay": 0.8}, rate_values.decay),
    RemedyModel(
        "clip-gradients",
        {"exploding-gradient": 0.5, "bad-batch": 0.75, "learning-rate-too-high": 0.15, "numerical-overflow": 0.05},
        tensor_values.clip,
        "a value below the usual norm slows training",
    ),
    RemedyModel(
        "resume-before-the-fault",
        {"bad-batch": 0.7, "learning-rate-too-high": 0.1, "numerical-overflow": 0.1},
        length_values.resume,
        "needs a checkpoint at or before that step",
    ),
    RemedyModel("lower-beta2", {"bad-batch": 0.2, "learning-rate-too-high": 0.05}, rate_values.lower_beta2),
    RemedyModel("use-bfloat16", {"numerical-overflow": 0.95}, model_values.bfloat16, "needs a card that has it"),
    RemedyModel("clean-inputs", {"bad-batch": 0.9, "numerical-overflow": 0.5}, tensor_values.clean_inputs),
    RemedyModel(
        "initialize-for-fan-in",
        {
            "initialization-too-large": 0.9,
            "initialization-too-small": 0.9,
            "symmetric-initialization": 0.95,
            "exploding-gradient": 0.8,
            "saturated-activation": 0.6,
            "vanishing-gradient": 0.1,
            "dying-relu": 0.3,
        },
        tensor_values.initialize,
    ),
    RemedyModel(
        "use-rectified-units",
        {"vanishing-gradient": 0.95, "saturated-activation": 0.9},
        model_values.rectified,
    ),
    RemedyModel("use-leaky-relu", {"dying-relu": 0.95}, model_values.leaky),
    RemedyModel(
        "add-normalization",
        {
            "vanishing-gradient": 0.5,
            "saturated-activation": 0.4,
            "exploding-gradient": 0.3,
            "activation-growth": 0.7,
            "initialization-too-large": 0.3,
            "initialization-too-small": 0.3,
        },
        model_values.normalization,
        turns={"regularisation": 1},
    ),
    RemedyModel("normalize-queries-and-keys", {"attention-collapse": 0.8}, model_values.qk_norm),
    RemedyModel("add-z-loss", {"logit-drift": 0.7}, model_values.z_loss),
    RemedyModel("standardize-inputs", {"unnormalized-input": 0.95}, tensor_values.normalize_inputs),
    RemedyModel("standardize-targets", {"unscaled-target": 0.95}, data_values.normalize_targets),
    RemedyModel(
        "weight-classes",
        {"class-imbalance": 0.8},
        data_values.balance_classes,
        "more false alarms for the rare classes",
    ),
    RemedyModel(
        "sample-classes-evenly",
        {"class-imbalance": 0.6},
        data_values.sample_evenly,
        "the rare samples are seen often: they may be learnt by heart",
    ),
    RemedyModel("repair-labels", {"label-noise": 0.9}, data_values.repair_labels),
    RemedyModel(
        "split-again", {"data-leakage": 0.95}, data_values.split_again, "validation will look worse, and be true"
    ),
    RemedyModel("repair-inputs", {"underfitting": 0.9}, data_values.repair_inputs),
    RemedyModel("unfreeze-parameters", {"frozen-parameters": 0.95}, model_values.unfreeze),
    RemedyModel("clear-gradients", {"missing-zero-grad": 0.95}, model_values.clear_gradients),
    RemedyModel("update-synchronously", {"stale-gradients": 0.9}, model_values.synchronous),
    RemedyModel("synchronize-replicas", {"unsynchronized-replicas": 0.95}, model_values.synchronize),
    RemedyModel("mend-loss", {"wrong-loss": 0.95, "redundant-softmax": 0.3}, data_values.fitting_loss),
    RemedyModel("give-logits", {"redundant-softmax": 0.95}, model_values.logits),
    RemedyModel(
        "stop-early", {"overfitting": 0.95, "label-noise": 0.3}, length_values.stop_early, None, {"length": -1}
    ),
    RemedyModel("use-fewer-rounds", {"overfitting": 0.97}, length_values.fewer_rounds, None, {"length": -1}),
    RemedyModel(
        "raise-weight-decay",
        {"overfitting": 0.3},
        length_values.more_decay,
        "too much of it holds the model back",
        {"regularisation": 1},
    ),
    RemedyModel(
        "add-dropout", {"overfitting": 0.25}, length_values.more_dropout, "slower progress", {"regularisation": 1}
    ),
    RemedyModel(
        "train-longer",
        {"insufficient-training": 0.95, "batch-too-large": 0.3, "learning-rate-too-low": 0.1},
        length_values.train_longer,
        "costs more time; stretch a decaying schedule with it",
        {"length": 1},
    ),
    RemedyModel(
        "use-smaller-batches", {"batch-too-large": 0.95}, length_values.smaller_batch, "more steps", {"batch": -1}
    ),
    RemedyModel(
        "use-larger-batches", {"batch-too-small": 0.9}, length_values.larger_batch, "more memory", {"batch": 1}
    ),
    RemedyModel("lower-weight-decay", {"underfitting": 0.95}, length_values.less_decay, None, {"regularisation": -1}),
    RemedyModel("lower-dropout", {"underfitting": 0.85}, length_values.less_dropout, None, {"regularisation": -1}),
    RemedyModel(
        "widen-network", {"underfitting": 0.7}, model_values.widen, "more memory and time", {"regularisation": -1}
    ),
    RemedyModel("bucket-by-length", {"padding": 0.9}, data_values.bucket_lengths),
)

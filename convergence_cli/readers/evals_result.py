"""``evals_result`` of XGBoost, LightGBM or CatBoost saved as JSON: ``{set: {metric: [a value a round]}}``.

Layouts: https://xgboost.readthedocs.io (``XGBModel.evals_result``), https://lightgbm.readthedocs.io
(``record_evaluation``), https://catboost.ai (``get_evals_result``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.errors import SourceError
from convergence_cli.model import Run
from convergence_cli.printable import counted, printable
from convergence_cli.readers._collect import Collector
from convergence_cli.readers._guard import HEAD_BYTES, parse_json
from convergence_cli.readers._json_document import numbers

if TYPE_CHECKING:
    from convergence_cli.model import FloatArray
    from convergence_cli.readers._guard import ReadOptions, Source

    Sets = dict[str, dict[str, tuple[FloatArray, FloatArray]]]

FORMAT = "evals-result"
_NUMBERED = re.compile(r"(validation|valid)_\d+")
# What the measures are called, without what follows @ or a colon; the first are what such models minimise.
_LOSSES = (
    *("logloss", "mlogloss", "binary_logloss", "multi_logloss", "cross_entropy", "crossentropy", "multiclass"),
    *("rmse", "l2", "mse", "rmsle", "mphe", "huber", "poisson", "poisson-nloglik"),
    *("gamma", "gamma-nloglik", "gamma-deviance", "tweedie"),
    *("tweedie-nloglik", "cox-nloglik", "quantile", "fair", "mae", "l1", "mape"),
    *("error", "merror", "binary_error", "multi_error"),
)  # fmt: skip
_HIGHER = ("auc", "map", "ndcg", "ap", "f1", "accuracy", "recall", "precision", "r2", "mcc", "kappa")
_TRAIN = frozenset(("train", "training", "learn", "dtrain", "fit"))
_HELD_OUT = frozenset(
    ("val", "valid", "validation", "eval", "evaluation", "dev", "test", "dval", "dvalid", "deval", "dtest")
)
_OPENING = re.compile(
    rb'\s*\{\s*"([^"\n]{1,200})"\s*:\s*\{\s*"([^"\n]{1,200})"\s*:\s*\[\s*(?:null|NaN|-?Infinity|-?\d)'
)
_MOST_SETS = 100


def sniff(source: Source) -> float:
    """An object of objects of lists of numbers; sure where a measure or a set has the name these programs give it."""
    head = source.head
    opening = _OPENING.match(head)
    if opening is None:
        return 0.0
    if len(head) < HEAD_BYTES:
        try:
            sets = _sets(parse_json(source, head))
        except SourceError:
            # Torn: another reader's error is no better, so the names decide.
            sets = None
        else:
            if sets is None:
                return 0.0
        if sets is not None:
            return 0.85 if _known(sets, [metric for metrics in sets.values() for metric in metrics]) else 0.0
    names = [part.decode("utf-8", "replace") for part in opening.groups()]
    return 0.85 if _known(names[:1], names[1:]) else 0.0


def read(sources: Sequence[Source], options: ReadOptions) -> list[Run]:
    """One run a file; a series is called ``set-metric``, and counts rounds from 0."""
    del options
    return [_read(source) for source in sources]


def _read(source: Source) -> Run:
    sets = _sets(parse_json(source, source.read_all()))
    if sets is None:
        raise source.error(
            "is no evals_result: that is an object of sets, each an object of lists of numbers.",
            "Save it with json.dump(model.evals_result(), file).",
        )
    collector = Collector(source.shown)
    for name, metrics in sets.items():
        for metric, (index, value) in metrics.items():
            collector.add(f"{name}-{metric}", index, value)
    roles, notes = _roles(sets)
    curves = tuple(replace(curve, role=roles.get(curve.name)) for curve in collector.curves())
    if collector.dropped:
        notes.append(f"read the first {len(curves)} series; more were left out")
    return Run(source.path.stem, source.shown, FORMAT, curves, {}, (*source.notes, *notes))


def _sets(data: object) -> Sets | None:
    """The lists of numbers in ``data`` by set and measure, or None where anything else is in it."""
    if not isinstance(data, dict) or not 0 < len(data) <= _MOST_SETS:
        return None
    found: Sets = {}
    for name, metrics in data.items():
        if not isinstance(metrics, dict) or not metrics:
            return None
        for metric, values in metrics.items():
            read = numbers(values) if isinstance(values, list) else None
            if read is None or not len(read[0]):
                return None
            found.setdefault(name, {})[metric] = read
    return found


def _known(sets: Sequence[str] | Mapping[str, object], metrics: Sequence[str]) -> bool:
    if any(_NUMBERED.fullmatch(name) for name in sets):
        return True
    # Keras' and most other histories call theirs loss and accuracy.
    named = {_plain(metric) for metric in metrics}
    return bool(named & (frozenset(_LOSSES) | {"auc", "ndcg", "map"})) and "loss" not in named


def _plain(metric: str) -> str:
    return re.split(r"[@:]", metric.lower(), maxsplit=1)[0]


def _roles(sets: Sets) -> tuple[dict[str, str], list[str]]:
    """The role of each series that has one by its set and its measure, and what to say of the choice."""
    train, held_out, notes = _parts(sets)
    roles: dict[str, str] = {}
    loss = _first(sets, _LOSSES)
    metric = _first(sets, _HIGHER)
    for part, name in (("train", train), ("val", held_out)):
        if name is not None:
            for kind, measure in (("loss", loss), ("metric", metric)):
                if measure is not None and measure in sets[name]:
                    roles[f"{name}-{measure}"] = f"{part}_{kind}"
    return roles, notes


def _first(sets: Sets, wanted: Sequence[str]) -> str | None:
    """The measure named first in ``wanted`` that is logged, most sets first."""
    there = list(dict.fromkeys(measure for metrics in sets.values() for measure in metrics))
    ranked = [(sum(measure in m for m in sets.values()), -wanted.index(_plain(measure)), -position, measure)
              for position, measure in enumerate(there) if _plain(measure) in wanted]  # fmt: skip
    return max(ranked)[-1] if ranked else None


def _parts(sets: Sets) -> tuple[str | None, str | None, list[str]]:
    """The names of the training set and of the held-out one, and what to say of a choice that names do not make."""
    words = {name: frozenset(re.split(r"[^a-z]+", name.lower())) for name in sets}
    training = [name for name, parts in words.items() if parts & _TRAIN]
    held_out = [name for name, parts in words.items() if parts & _HELD_OUT and name not in training]
    unnamed = [name for name in sets if name not in training and name not in held_out]
    if not training and len(held_out) > 1 and all(name.startswith("validation_") for name in held_out):
        # XGBoost numbers its sets as they were given, the training set most often first.
        first, second = _in_order(sets, held_out[0], held_out[1])
        note = f"{counted(len(held_out), 'set')} without names: {printable(first, 40)} is read as the training set"
        return first, second, [f"{note} and {printable(second, 40)} as the validation set"]
    # A test set is looked at where there is no other.
    tests = [name for name in held_out if "test" in words[name] or "dtest" in words[name]]
    chosen = next((name for name in held_out if name not in tests), next(iter(tests), None))
    if len(unnamed) == 1 and bool(training) != bool(held_out):
        return (training[0], unnamed[0], []) if training else (unnamed[0], chosen, [])
    return next(iter(training), None), chosen, []


def _in_order(sets: Sets, first: str, second: str) -> tuple[str, str]:
    """The two sets, the training set first: trees fit it better to the last round, and no other so."""
    loss = _first(sets, _LOSSES)
    if loss is None or loss not in sets[first] or loss not in sets[second]:
        return first, second
    one, other = sets[first][loss][1], sets[second][loss][1]
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        return first, second
    swapped = one[-1] > other[-1] and other[-1] <= other.min() and one[-1] > one.min()
    return (second, first) if swapped else (first, second)

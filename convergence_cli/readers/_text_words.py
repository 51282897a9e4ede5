"""What the words around a number in a log say: series names, step words, context words."""

from __future__ import annotations

import re

STEP_RANK = {
    "global_step": 0,
    "global step": 0,
    "num_updates": 1,
    "step": 2,
    "steps": 3,
    "iteration": 3,
    "iterations": 4,
    "iter": 3,
    "iters": 4,
    "it": 5,
    "itr": 3,
    "update": 5,
    "updates": 6,
    "batch": 7,
    "minibatch": 7,
    "mini-batch": 7,
}
# Plurals and short forms also stand in argument dumps, where they say how many and not which.
SINGULAR_STEPS = frozenset({"global_step", "global step", "step", "iteration", "iter"})
EPOCHS = frozenset({"epoch", "ep"})
_MAY_PRECEDE = frozenset(
    [
        "at",
        "train",
        "training",
        "trainer",
        "test",
        "testing",
        "val",
        "valid",
        "validation",
        "eval",
        "evaluation",
        "global",
        "current",
        "end",
        "of",
        "after",
        "loss",
        "results",
        "result",
        "for",
        "epoch",
        "model",
        "-",
        "iter",
        "on",
        "info",
        "debug",
        "the",
        "in",
        "start",
        "begin",
        "starting",
        "completed",
        "finished",
        "metrics",
        "validate",
    ]
)
_CONTEXTS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "validate": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
    "eval": "eval",
    "evaluation": "eval",
}
_ALTERNATIVES = "train|training|val|valid|validation|validate|dev|test|testing|eval|evaluation"
CONTEXT = re.compile(rf"(?<![\w/.@-])({_ALTERNATIVES})(?![\w/.@'-])", re.IGNORECASE)
OWN_CONTEXT = re.compile(rf"^(?:{_ALTERNATIVES})(?=[_/. -])", re.IGNORECASE)
PHASE = re.compile(
    rf"^[\W_]*({_ALTERNATIVES})(?: (?:set|phase|results?|metrics?|epoch|errors?|performance|begin|start))?[\W_]*$",
    re.IGNORECASE,
)
_METRIC = re.compile(
    r"loss|accura|perplexity|logloss|entropy"
    r"|(?<![a-z])(?:acc|nll|ppl|xent|cost|err|error|mse|mae|rmse|mape|bleu|f1|auc|map|miou|iou|dice|rew|reward|"
    r"rewards|return|elbo|kl|bpb|bpc|lr|learning.?rate|grad.?norm|gnorm|score|objective|recall|precision|"
    r"top.?[15]|prec.[15]|psnr|ssim|wer|cer|r2|dev|rmsle|ndcg|merror|mlogloss|multi_logloss|l1|l2)(?![a-z])"
)
_HYPERPARAMETER = re.compile(
    r"weight|every|interval|freq|coef|lambda|alpha|smooth|patience|thresh|delta|warm|schedul|size|type|fn\b"
    r"|scale|target|min_|max_|num_|decay|policy|eps|mult(?!i(?:class|label|_))|steps$|iters$|epochs?$|file|path|dir|gamma|momentum"
)
_RATE = re.compile(r"(?<![a-z])(?:lr|learning.?rate)(?![a-z])|grad.?norm|gnorm")
_LEARNING_RATE = re.compile(r"(?<![a-z])(?:lr|learning.?rate)(?![a-z])")
_SCALE = re.compile(r"(?<![a-z])(?:loss|grad)[_ -]?scale$")
_JUNK = re.compile(
    r"(?<![a-z])(?:time|eta|elapsed|tok/s|tokens?/s|it/s|mem|memory|speed|date|gpu|sec|secs|seconds|remaining|"
    r"duration|runtime|throughput|samples/s|tflops|mfu|img/s|tps|ips|wps|ups|reader_cost|batch_cost|data_cost|max_mem|batch_time|data_time|train_time|step_avg|"
    r"pid|port|v_num|cuda|device|rank|world.size)(?![a-z])|\.(?:py|cpp|cc|cu|h|go)$|per.second|per.sec|^data$"
)
_NO_CONTEXT = re.compile(r"(?<![a-z])(?:lr|learning.?rate|time|step|epoch|best|grad.?norm|gnorm|wd|momentum)(?![a-z])")
_WRAPPER = re.compile(r"(?:tensor|array|Array|(?:np\.)?float\d*)\(\s*\[?\s*$")
_POSSESSIVE = re.compile(r"^(\w{1,60})'s (.+)$")
_UNIT = re.compile(r"\s*\([^()]{0,40}\)$")
_DELIMITER = re.compile(r"[|,;()\[\]{}<>\t*#\"]|(?<!\w)'|: |[:=]|\s[-–—~]+\s|->|\s{2,}|^\s*-+\s")
_WORD_END = re.compile(r"[^a-z]+")
_LEADING = re.compile(r"^[^A-Za-z_]+")


def is_metric(name: str) -> bool:
    """Whether a name is that of something a run measures, rather than of a setting or a clock."""
    low = name.lower()
    return _METRIC.search(low) is not None and _HYPERPARAMETER.search(low) is None


def is_rate(name: str) -> bool:
    """Whether a name is that of a quantity (learning rate, gradient norm) that is no evidence of a curve."""
    return _RATE.search(name.lower()) is not None


def is_learning_rate(name: str) -> bool:
    """Whether a name is that of a learning rate."""
    return _LEARNING_RATE.search(name.lower()) is not None


def is_scale(name: str) -> bool:
    """Whether a name is that of the factor by which mixed precision scales the loss."""
    return _SCALE.search(name.lower()) is not None


def is_junk(name: str) -> bool:
    """Whether a name is certainly a clock, a speed, a size or a source location."""
    return _JUNK.search(name.lower()) is not None


def key_before(gap: str) -> tuple[str, bool]:
    """The words that name the number after ``gap``, and whether ``:`` or ``=`` ties them to it.

    Empty where nothing names the number.
    """
    tail = _WRAPPER.sub("", gap[-400:]) if gap.endswith(("(", "[", " ")) else gap[-400:]
    bare = tail.rstrip(" \t\"'([{<")
    if bare.endswith((" was", " is")) and bare != tail:
        bare = bare.rpartition(" ")[0] + ":"
    tied = bare.endswith((":", "="))
    text = bare.rstrip(" \t:=\"'([{<")
    if len(text) == len(gap[-400:]):
        return "", False
    if text.endswith(")"):
        text = _UNIT.sub("", text)
    text = text[max((found.end() for found in _DELIMITER.finditer(text)), default=0) :]
    text = _LEADING.sub("", text).rstrip(" .-'")
    return text, tied


def step_word(key: str) -> str | None:
    """The step or epoch word a key ends in, where the words before it allow it to be a position."""
    low = key.lower()
    if low in STEP_RANK or low in EPOCHS:
        return low
    if low.endswith("_num_updates"):  # fairseq
        return "num_updates" if OWN_CONTEXT.match(low) else None
    words = low.split()
    if len(words) < 2 or len(words) > 6:
        return None
    if words[-1] not in STEP_RANK and words[-1] not in EPOCHS:
        return None
    return words[-1] if all(word in _MAY_PRECEDE for word in words[:-1]) else None


def is_context(key: str) -> bool:
    """Whether a key is nothing but a context word."""
    return key.lower() in _CONTEXTS


def context_in(text: str) -> str | None:
    """The last standalone context word (train, val, test, eval) in ``text``, in its canonical form."""
    found = CONTEXT.findall(text)
    return _CONTEXTS[found[-1].lower()] if found else None


def phase_of(text: str) -> str | None:
    """The context a whole line announces, as ``Validation:`` does."""
    match = PHASE.match(text) if len(text) < 80 else None
    return _CONTEXTS[match[1].lower()] if match else None


def series_name(key: str, context: str | None) -> str:
    """The name of a series: the words as logged, with the context they stand in put before them."""
    possessive = _POSSESSIVE.match(key)
    if possessive:  # LightGBM: "valid_1's auc"
        return f"{possessive[1]}_{possessive[2].replace(' ', '_')}"
    own = OWN_CONTEXT.match(key)
    if own and " " in key:
        rest = key[own.end() :].strip(" _/.-'")
        return f"{_CONTEXTS[own[0].lower()]}_{rest.lower().replace(' ', '_')}" if rest else key.lower()
    if own or context is None or _NO_CONTEXT.search(key.lower()) or context in _WORD_END.split(key.lower()):
        return key.lower() if key[:1].isupper() else key
    return f"{context}_{key.lower().replace(' ', '_')}"

"""What the name of a dumped tensor tells: its kind, its layer, and the activation function.

The spellings are those of our own layout (``gradient/fc1.weight``), of module hooks and SageMaker Debugger
(``gradient/Net_fc1.weight``, ``relu_output_0``), of PyTorch (``fc1.weight.grad``), Keras and Flax (``dense/kernel:0``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

_WORDS = {
    "weight": "weight weights param params parameter parameters variable variables",
    "gradient": "gradient gradients grad grads",
    "update": "update updates delta deltas",
    "activation": "activation activations act acts",
    "input": "input inputs feature features",
    "label": "label labels target targets",
    "output": "output outputs prediction predictions",
}
KIND_OF = {word: kind for kind, words in _WORDS.items() for word in words.split()}
# Names that need no kind before them.
_ALONE = {
    **dict.fromkeys(("x", "input_ids", "pixel_values"), "input"),
    **dict.fromkeys(("y", "y_true"), "label"),
    **dict.fromkeys(("logits", "logit", "probs", "probabilities", "preds", "pred", "y_pred", "y_hat"), "output"),
    **{word: kind for word, kind in KIND_OF.items() if kind not in {"weight", "activation"}},
}
# Kinds of which a layer of the model may bear the name: output.dense.weight is a weight.
_LAYER_NAMES = {"input", "output", "label", "activation"}
_PARAMETERS = ("weight", "gradient", "update")
_SEPARATORS = re.compile(r"[/\\:]+|(?<=.)\.(?=.)")
_PARAMETER = re.compile(
    r"(?i)(?P<stem>.*?_)?(?:(?:weight|bias|kernel|gamma|beta|scale|embeddings?|embedding_table)"
    r"(?:_(?:ih|hh|hr)_l\d+(?:_reverse)?|_[gv]|_orig)?|original[01]|(?:cls|mask|class)_token|pos_embed(?:ding)?)"
)
_BARE = re.compile(r"(?i)(?:weight|bias|kernel|gamma|beta|scale)(?:_(?:ih|hh)_l\d+)?|[wb]\d{0,3}")
_SHORT = re.compile(r"(?i)[wb]\d{0,3}")
_BUFFER = re.compile(r"(?i)running_mean|running_var|num_batches_tracked|moving_mean|moving_var(?:iance)?")
_HOOK = re.compile(r"(?i)(?P<base>.+?)_(?P<end>input|output)s?(?:_(?P<index>\d+))?")
_AFFIX = re.compile(r"(?i)(?P<word>grad|gradient|update|delta)_(?P<rest>.+)")
_SUFFIX = re.compile(r"(?i)(?P<rest>.+)[._](?P<word>grad|gradient|update|delta)")
_FUNCTIONS = [
    "relu",
    "leaky_relu",
    "prelu",
    "rrelu",
    "elu",
    "selu",
    "celu",
    "gelu",
    "silu",
    "mish",
    "tanh",
    "hardtanh",
    "sigmoid",
    "log_sigmoid",
    "hardsigmoid",
    "hardswish",
    "softmax",
    "log_softmax",
    "softplus",
    "softsign",
]
_FUNCTION_OF = {name.replace("_", ""): name for name in _FUNCTIONS} | {"swish": "silu"}
_WORD = "|".join(name.replace("_", "_?") for name in (*_FUNCTIONS, "swish"))
_FUNCTION = re.compile(rf"(?i)(?P<before>.*?[._-])??(?P<word>{_WORD})[._-]?\d*")
_NOT_AFTER = re.compile(r"(?i)(?:.*[._-])?(?:pre|before|no)[._-]")
# Longer ones are no names, and would be matched for long.
_MAX_NAME = 500
_WRAPPERS = ("module.", "model.", "state_dict.", "model_state_dict.", "params.")
_INSERTED = ("_orig_mod.", "_fsdp_wrapped_module.")
_CLASS_PREFIX = re.compile(r"[A-Z][A-Za-z0-9]*_")


@dataclass(frozen=True, slots=True)
class Named:
    """``kind`` is one of ``KINDS``, or empty where the name tells none; the rest is as in ``TensorRow``.

    Parameters that no optimizer moves (running means) have ``function`` ``buffer``.
    """

    kind: str
    name: str
    layer: str
    function: str = ""


def named(key: str, kind_hint: str = "") -> Named:
    """What ``key`` tells; ``kind_hint`` is the kind where the layout of the dump tells it."""
    if len(key) > _MAX_NAME:
        return Named("", key[:_MAX_NAME], "")
    parts = [part for part in _SEPARATORS.split(re.sub(r":\d+$", "", key.strip())) if part]
    for inserted in _INSERTED:
        parts = [part for part in parts if part != inserted.rstrip(".")]
    if not parts:
        return Named("", key, "")
    if kind_hint:
        own = len(parts) > 1 and KIND_OF.get(parts[0].lower()) == kind_hint
        return _of_kind(kind_hint, parts[1:] if own else parts)
    first = KIND_OF.get(parts[0].lower(), "")
    # "output.weight" is a weight of a layer called output; "activation/user_bias" is what a module gives out.
    module = len(parts) == 2 and not _BARE.fullmatch(parts[-1])
    if first and len(parts) > 1 and (module or not (first in _LAYER_NAMES and _is_parameter(parts[-1]))):
        return _of_kind(first, parts[1:])
    return _without_kind(parts)


def _of_kind(kind: str, parts: Sequence[str]) -> Named:
    name = ".".join(parts)
    if kind in _PARAMETERS:
        tail = _SUFFIX.fullmatch(name)
        name = tail["rest"] if tail and KIND_OF[tail["word"].lower()] == kind else name
        return _parameter(kind, name)
    hook = _HOOK.fullmatch(name) if kind == "activation" else None
    if hook is not None:
        return _hooked(hook)
    return Named(kind, name, name, function_of(name))


def _without_kind(parts: Sequence[str]) -> Named:
    name = ".".join(parts)
    for pattern in (_SUFFIX, _AFFIX):
        match = pattern.fullmatch(name)
        if match and _is_parameter(match["rest"].rpartition(".")[2]):
            return _parameter(KIND_OF[match["word"].lower()], match["rest"])
    if _is_parameter(parts[-1]):
        return _parameter("weight", name)
    alone = _ALONE.get(name.lower(), "")
    if alone:
        return Named(alone, name, name)
    hook = _HOOK.fullmatch(name)
    return Named("", name, name) if hook is None else _hooked(hook)


def _hooked(hook: re.Match[str]) -> Named:
    """The input or output of a module, as forward hooks name them."""
    base, index = hook["base"], int(hook["index"] or 0)
    after = f"_{index}" if index else ""
    is_input = hook["end"].lower() == "input"
    if base.lower().endswith("loss"):
        # A loss is called as loss(output, target); what it gives is a number, not a tensor to look at.
        kind = ("output", "label")[index] if is_input and index < 2 else ""
        return Named(kind, f"{base}_input{after}" if is_input else base, base)
    function = function_of(base)
    if is_input:
        return Named("activation", f"{base}_input{after}", base, f"{function}_input" if function else "")
    return Named("activation", f"{base}{after}", base, function)


def _parameter(kind: str, name: str) -> Named:
    stem, _, last = name.rpartition(".")
    if _BUFFER.fullmatch(last):
        return Named(kind, name, stem, "buffer")
    match = _PARAMETER.fullmatch(last)
    if match is None and not _SHORT.fullmatch(last):
        return Named(kind, name, name)
    if not stem and match is not None:
        return Named(kind, name, (match["stem"] or "").rstrip("_"))
    return Named(kind, name, stem)


def _is_parameter(word: str) -> bool:
    return any(pattern.fullmatch(word) for pattern in (_PARAMETER, _SHORT, _BUFFER))


def function_of(name: str) -> str:
    """The activation function that ``name`` ends in (``block1.relu2`` -> ``relu``), or empty."""
    match = _FUNCTION.fullmatch(name)
    if match is None or _NOT_AFTER.fullmatch(match["before"] or ""):
        return ""
    return _FUNCTION_OF[match["word"].lower().replace("_", "")]


def without_shared_prefix(found: Sequence[Named]) -> list[Named]:
    """The same names without what all parameters begin with: ``module.`` or the model's class (``Net_``).

    Of one kind alone it is dropped where its names are then those of another kind: ``model.fc1.weight`` of a
    saved model beside ``gradient/fc1.weight``.
    """
    result = list(found)
    while prefix := _shared_prefix([one.name for one in result if one.kind in _PARAMETERS]):
        result = [_without(one, prefix) for one in result]
    for kind in _PARAMETERS:
        others = {one.name for one in result if one.kind in _PARAMETERS and one.kind != kind}
        while prefix := _shared_prefix(own := [one.name for one in result if one.kind == kind]):
            if len(others.intersection(own)) >= len(others.intersection(name.removeprefix(prefix) for name in own)):
                break
            result = [_without(one, prefix) if one.kind == kind else one for one in result]
    return result


def _without(one: Named, prefix: str) -> Named:
    if not one.name.startswith(prefix):
        return one
    return replace(one, name=one.name.removeprefix(prefix), layer=one.layer.removeprefix(prefix))


def _shared_prefix(names: Sequence[str]) -> str:
    if not names:
        return ""
    candidates = list(_WRAPPERS)
    by_class = _CLASS_PREFIX.match(names[0])
    # Dense_0 and Dense_1 are two layers, not two parameters of a model Dense.
    numbered = all(name[by_class.end() :][:1].isdigit() for name in names) if by_class else False
    if by_class and (len(names) > 1 or not numbered) and (not numbered or by_class[0] == "Sequential_"):
        candidates.append(by_class[0])
    return next((one for one in candidates if all(name.startswith(one) and name != one for name in names)), "")

"""Settings that a log prints before its first point: argument dumps, solver headers, source constants."""

from __future__ import annotations

import re

# The settings that matter to a diagnosis, under the names programs print them, and their canonical names.
CANONICAL = {
    "lr": "learning_rate",
    "learning_rate": "learning_rate",
    "learning-rate": "learning_rate",
    "base_lr": "learning_rate",
    "optimizer": "optimizer",
    "optim": "optimizer",
    "batch_size": "batch_size",
    "batch-size": "batch_size",
    "global_batch_size": "batch_size",
    "per_device_train_batch_size": "batch_size",
    "epochs": "epochs",
    "num_epochs": "epochs",
    "max_epochs": "epochs",
    "num_train_epochs": "epochs",
    "max_steps": "max_steps",
    "max_iter": "max_steps",
    "max_iters": "max_steps",
    "train_iters": "max_steps",
    "train_steps": "max_steps",
    "num_iterations": "max_steps",
    "warmup_steps": "warmup_steps",
    "warmup_iters": "warmup_steps",
    "weight_decay": "weight_decay",
    "momentum": "momentum",
    "num_classes": "num_classes",
    "dropout": "dropout",
    "lr_policy": "lr_schedule",
    "lr_scheduler_type": "lr_schedule",
    "lr_decay_style": "lr_schedule",
    "grad_clip": "gradient_clip_norm",
    "clip_grad": "gradient_clip_norm",
    "max_grad_norm": "gradient_clip_norm",
    "clip_gradients": "gradient_clip_norm",
}
_TEXTUAL = frozenset({"optimizer", "lr_schedule"})
_VALUE = r"([-+]?[\w.]{1,40}(?:[eE]-?\d+)?|\"[^\"]{0,60}\"|'[^']{0,60}')"
_LINE = re.compile(
    rf"^\s*(?:--|Overriding: )?([A-Za-z][\w-]{{0,40}})(?:\s?\.{{3,60}}\s?|\s*[:=]\s*){_VALUE},?\s*(?:#.*)?$"
)
_DUMP = re.compile(r"(?:Namespace|Config|Arguments|Params|args|config|hparams)\b|^\s*([=*#~-])\1{2,} ", re.IGNORECASE)
_PAIR = re.compile(rf"(?<![\w.])[\"']?([A-Za-z][\w-]{{0,40}})[\"']?\s?[:=]\s?{_VALUE}")
# What Lightning prints when its learning-rate finder has set the rate.
_FINDER = re.compile(r"Learning rate set to ([\d.]{1,30}(?:[eE][-+]?\d{1,3})?)\s*$")


def settings_in(text: str) -> dict[str, object]:
    """The settings on one line, under the name as printed and under the canonical one; empty where none."""
    found_rate = _FINDER.search(text) if len(text) <= 8192 and "Learning rate set to" in text else None
    if found_rate is not None and isinstance(rate := _scalar(found_rate[1]), (int, float)):
        return {"learning_rate": rate, "lr_finder": "lightning"}
    if len(text) > 8192 or not (":" in text or "=" in text or "..." in text):
        return {}
    match = _LINE.match(text)
    if match:
        pairs = [(match[1], match[2])]
    elif _DUMP.search(text[:80]):
        pairs = _PAIR.findall(text)
    else:
        return {}
    found: dict[str, object] = {}
    for key, value in pairs:
        canonical = CANONICAL.get(key.lower())
        if canonical is not None:
            scalar = _scalar(value)
            if canonical not in _TEXTUAL and (isinstance(scalar, str) or scalar is None):
                continue
            found.setdefault(key, scalar)
            found.setdefault(canonical, scalar)
    return found


def _scalar(text: str) -> object:
    bare = text.strip("\"'")
    try:
        number = float(bare)
    except ValueError:
        return {"true": True, "false": False, "none": None}.get(bare.lower(), bare)
    return int(number) if number.is_integer() and abs(number) < 1e15 and "." not in bare else number

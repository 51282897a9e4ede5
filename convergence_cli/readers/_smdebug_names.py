"""What the tensors of a SageMaker Debugger trial are: by the collections of its manifest, then by their names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from convergence_cli.readers._smdebug_trial import Collected

SCALAR = "scalar/"
_REDUCTION = re.compile(r"^smdebug/reductions/(abs_)?([a-z0-9]+)/(.+)$", re.DOTALL)
# What the built-in collections hold, the telling ones first: a tensor can be in several.
_CONTENTS = {
    "losses": "loss",
    "gradients": "gradient",
    "weights": "weight",
    "biases": "weight",
    "labels": "label",
    "predictions": "output",
    "hyperparameters": "setting",
    "feature_importance": "importance",
    "trees": "tree",
    "average_shap": "shap",
    "full_shap": "shap",
    "optimizer_variables": "optimizer",
    "tensorflow_summaries": "summary",
    "inputs": "input",
    "outputs": "output",
    "metrics": "metric",
    "sm_metrics": "metric",
}
# In this order: the value and target that a PyTorch loss is given, then the patterns of the built-in collections.
_PATTERNS = (
    (re.compile(r"^scalar/"), "metric"),
    (re.compile(r"[Ll]oss_input_0$"), "output"),
    (re.compile(r"[Ll]oss_input_1$"), "label"),
    (re.compile(r"[Ll]oss_(?!input).*output"), "loss"),
    (re.compile(r"^gradient"), "gradient"),
    (re.compile(r"^hyperparameters/"), "setting"),
    (re.compile(r"^feature_importance/"), "importance"),
    (re.compile(r"^trees/"), "tree"),
    (re.compile(r"^(average|full)_shap/"), "shap"),
    (re.compile(r"^labels$"), "label"),
    (re.compile(r"^predictions$"), "output"),
    (re.compile(r"weight|bias|kernel|gamma|beta"), "weight"),
)


@dataclass(frozen=True, slots=True)
class Contents:
    """``of`` says what a tensor is; ``root`` is the name of the outermost module (``Net``), or empty."""

    known: Mapping[str, str]
    root: str

    def of(self, name: str) -> str:
        """A kind of tensor, ``loss``, ``metric``, ``setting``, ``importance``, ``tree``, ..., or empty."""
        found = self.known.get(name, "")
        if found:
            return found
        for pattern, what in _PATTERNS:
            if pattern.search(name):
                return what
        if self.root and name.startswith(f"{self.root}_input_"):
            return "input"
        if self.root and name.startswith(f"{self.root}_output_"):
            return "output"
        return ""


def contents(collections: Mapping[str, Collected]) -> Contents:
    """What the built-in ones of ``collections`` tell."""
    known: dict[str, str] = {}
    for name, what in _CONTENTS.items():
        for member in collections[name].names if name in collections else ():
            known.setdefault(member, what)
    weights = [name for name, what in known.items() if what == "weight"]
    # PyTorch's hook joins the class of the root module and the path of the parameter.
    roots = {name.partition("_")[0] if "_" in name else "" for name in weights}
    return Contents(known, roots.pop() if len(roots) == 1 else "")


def reduction(name: str) -> tuple[str, str] | None:
    """(``abs_mean``, tensor) of a reduction's name, or None where it is none."""
    match = _REDUCTION.match(name)
    return ((match[1] or "") + match[2], match[3]) if match else None

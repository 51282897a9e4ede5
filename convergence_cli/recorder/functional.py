"""Activation functions that are no modules (``F.relu(self.fc1(x))``), found in the history of what a layer is given.

The module hooks see the layers before and after such a function. What the layer after it is given is the
function's output, perhaps pooled or reshaped, and its ``grad_fn`` tells how it was made.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

_FUNCTIONS = {
    **{"Relu": "relu", "LeakyRelu": "leaky_relu", "Prelu": "prelu", "Rrelu": "rrelu", "Elu": "elu", "Celu": "celu"},
    **{"Gelu": "gelu", "Silu": "silu", "Mish": "mish", "Tanh": "tanh", "Hardtanh": "hardtanh", "Sigmoid": "sigmoid"},
    **{"Hardsigmoid": "hardsigmoid", "Hardswish": "hardswish", "Softplus": "softplus", "Threshold": "relu"},
}
# What may stand between the function and the layer, and keeps its form.
_PASSING = re.compile(
    r"(Unsafe)?View|Reshape\w*|Transpose|T|Permute|Clone|Contiguous|Squeeze|Unsqueeze|Flatten|Slice|Select|Alias"
    r"|MaxPool\w*|AvgPool\w*|AdaptiveMaxPool\w*|AdaptiveAvgPool\w*|Mean|NativeDropout|FusedDropout|ToCopy|Expand"
)
_NODE = re.compile(r"(\w+?)Backward\d*")
_FARTHEST = 8


class History:
    """The nodes of the graph by the module that gave out their tensor, while one forward pass runs."""

    def __init__(self) -> None:
        # The nodes themselves are kept, so that no other takes the place of one.
        self._given: dict[int, tuple[Any, str]] = {}

    def learn(self, name: str, tensor: Tensor) -> None:
        """``tensor`` comes from the module ``name``."""
        if tensor.grad_fn is not None:
            self._given[id(tensor.grad_fn)] = (tensor.grad_fn, name)

    def forget(self) -> None:
        """Let go of the graph."""
        self._given.clear()

    def function_before(self, tensor: Tensor) -> tuple[str, str] | None:
        """The activation function that ``tensor`` comes from, and the module before it (or empty).

        None where it comes from a module, or from no function of this kind.
        """
        node, function = tensor.grad_fn, ""
        for _ in range(_FARTHEST):
            if node is None:
                break
            if (known := self._given.get(id(node))) is not None:
                return (function, known[1]) if function else None
            match = _NODE.fullmatch(type(node).__name__)
            kind = match[1] if match else ""
            before = [one for one, _ in node.next_functions if one is not None]
            # Dropout is a product with a mask, which has no history of its own.
            passing = _PASSING.fullmatch(kind) or (kind in ("Mul", "Div") and len(before) == 1)
            if not function and kind in _FUNCTIONS:
                function = _FUNCTIONS[kind]
            elif not function and not passing:
                return None
            node = before[0] if before else None
        return (function, "") if function else None

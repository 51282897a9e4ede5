"""What a torch file says of its tensors, read as data: no object of it is made, and no code of it is run.

``torch.save`` describes its tensors by a pickle, a program for a stack machine. The machine here knows the
instructions and does none of the calls: a call to rebuild a tensor becomes a ``TorchTensor``, another known call
an ``Opaque``, and any other name is refused. So a file needs no torch to be read (which takes seconds and
hundreds of megabytes to start), and no weakness of torch's own loader can be reached (CVE-2025-32434, CVE-2026-24747).
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

# A tensor takes about forty instructions; this many take some three seconds.
MAX_INSTRUCTIONS = 1_000_000
_CONSTANTS = frozenset(
    [
        "INT",
        "BININT",
        "BININT1",
        "BININT2",
        "LONG",
        "LONG1",
        "LONG4",
        "FLOAT",
        "BINFLOAT",
        "STRING",
        "BINSTRING",
        "SHORT_BINSTRING",
        "UNICODE",
        "BINUNICODE",
        "SHORT_BINUNICODE",
        "BINUNICODE8",
        "BINBYTES",
        "SHORT_BINBYTES",
        "BINBYTES8",
        "BYTEARRAY8",
    ]
)
_WORDS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
# What may be called: it only ever makes plain data.
_HARMLESS = {
    "collections": {"OrderedDict", "defaultdict", "Counter", "deque"},
    "builtins": {"set", "frozenset", "complex", "slice", "range", "bytearray", "int", "float", "dict", "list", "tuple"},
    "argparse": {"Namespace"},
    "types": {"SimpleNamespace"},
    "pathlib": {"Path", "PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath"},
    "pathlib._local": {"Path", "PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath"},
    "datetime": {"datetime", "date", "time", "timedelta", "timezone"},
    "_codecs": {"encode"},
    "copyreg": {"_reconstructor"},
    "numpy": {"dtype", "ndarray"},
    "torch": {"Size", "device", "Tensor"},
    "torch.storage": {"UntypedStorage", "TypedStorage", "_load_from_bytes"},
    "torch.nn.parameter": {"Parameter"},
    "torch._tensor": {"_rebuild_from_type_v2", "Tensor"},
    "torch.serialization": {"_get_layout"},
}
for _module in ("numpy.core.multiarray", "numpy._core.multiarray"):
    _HARMLESS[_module] = {"scalar", "_reconstruct"}
_HARMLESS["__builtin__"] = _HARMLESS["builtins"]
_HARMLESS["copy_reg"] = _HARMLESS["copyreg"]
_REBUILD = "torch._utils"


class RefusedError(ValueError):
    """The pickle is broken, or would run code."""


@dataclass(frozen=True, slots=True)
class Opaque:
    """Something that is no tensor."""


@dataclass(frozen=True, slots=True)
class Global:
    """A class, function or constant, by its name only."""

    module: str
    name: str


@dataclass(frozen=True, slots=True)
class Storage:
    """Where values lie: ``kind`` is the name of torch's storage class, ``key`` that of the member."""

    kind: str
    key: str


@dataclass(frozen=True, slots=True)
class TorchTensor:
    """A tensor as declared, nothing checked; ``offset`` and ``stride`` are in values.

    ``dtype`` is empty where the class of the storage tells it.
    """

    storage: Any
    offset: Any
    shape: Any
    stride: Any
    dtype: str = ""


@dataclass(frozen=True, slots=True)
class OtherTensor:
    """A sparse, quantized or otherwise packed tensor."""


@dataclass(slots=True)
class Table:
    """A dictionary as its pairs: keys are never hashed, since chosen ones could make that take forever."""

    pairs: list[tuple[Any, Any]] = field(default_factory=list)


def described(data: bytes) -> Any:
    """What the pickle ``data`` describes, of ``Table``, list, tuple, the classes above and plain values.

    Raises ``RefusedError``, whose text completes "the file ...".
    """
    machine = _Machine()
    try:
        for count, (opcode, arg, _) in enumerate(pickletools.genops(data)):
            if count > MAX_INSTRUCTIONS:
                raise RefusedError("describes more than any model has")
            machine.run(opcode.name, arg)
        return machine.stack[-1]
    except RefusedError:
        raise
    # Broken bytes make the parser and the stack fail in a dozen ways.
    except Exception as error:
        raise RefusedError("is damaged: its description of the tensors cannot be read") from error


class _Machine:
    def __init__(self) -> None:
        self.stack: list[Any] = []
        self._marked: list[list[Any]] = []
        self._memo: dict[int, Any] = {}

    def run(self, name: str, arg: Any) -> None:
        if name in _CONSTANTS:
            self.stack.append(arg)
        elif name in _WORDS:
            self.stack.append(_WORDS[name])
        elif name in _STEPS:
            _STEPS[name](self, arg)
        elif name not in ("PROTO", "FRAME", "STOP"):
            raise RefusedError("would make objects of its own when it is loaded, and is not")

    def to_mark(self) -> list[Any]:
        """What was put since the last mark."""
        items, self.stack = self.stack, self._marked.pop()
        return items

    def mark(self, _: Any) -> None:
        self._marked.append(self.stack)
        self.stack = []

    def put(self, index: int | None) -> None:
        self._memo[len(self._memo) if index is None else index] = self.stack[-1]

    def get(self, index: int) -> None:
        self.stack.append(self._memo[index])

    def tuple_of(self, count: int) -> None:
        items = tuple(self.stack[-count:])
        if len(items) < count:
            raise IndexError(count)
        del self.stack[-count:]
        self.stack.append(items)

    def marked_tuple(self, _: Any) -> None:
        items = tuple(self.to_mark())
        self.stack.append(items)

    def add(self, items: Sequence[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, list):
            target.extend(items)

    def set_items(self, items: Sequence[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, Table):
            target.pairs.extend(zip(items[::2], items[1::2], strict=True))

    def name(self, arg: str) -> None:
        module, _, name = arg.partition(" ")
        self.stack.append(_known(module, name))

    def stack_name(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.stack.append(_known(str(module), str(name)))

    def storage(self, _: Any) -> None:
        told = self.stack.pop()
        kind = told[1].name if isinstance(told[1], Global) else ""
        self.stack.append(Storage(kind, str(told[2])))

    def call(self, _: Any) -> None:
        args, function = self.stack.pop(), self.stack.pop()
        self.stack.append(_called(function, args))

    def drop_state(self, _: Any) -> None:
        self.stack.pop()


def _known(module: str, name: str) -> Global:
    rebuilds = module == _REBUILD and name.startswith("_rebuild_")
    # torch.float32, torch.FloatStorage: neither is a function.
    value = module == "torch" and (name.endswith("Storage") or (name.lower() == name and name[-1:].isdigit()))
    value = value or (module == "torch" and name in ("bool", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2fnuz"))
    if not (rebuilds or value or name in _HARMLESS.get(module, ())):
        raise RefusedError(f"would run {module}.{name} when it is loaded, and is not")
    return Global(module, name)


def _called(function: Any, args: Any) -> Any:
    if not isinstance(function, Global):
        return Opaque()
    if function.name == "_rebuild_from_type_v2":
        return _called(args[0], args[2])
    if function.module != _REBUILD:
        return Table() if function.name in ("OrderedDict", "defaultdict", "dict") else Opaque()
    if function.name in ("_rebuild_tensor", "_rebuild_tensor_v2"):
        return TorchTensor(args[0], args[1], args[2], args[3])
    if function.name == "_rebuild_tensor_v3":
        return TorchTensor(args[0], args[1], args[2], args[3], args[6].name)
    return args[0] if function.name.startswith("_rebuild_parameter") else OtherTensor()


_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "MARK": _Machine.mark,
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), _Machine.put),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _Machine.get),
    "EMPTY_DICT": lambda machine, _: machine.stack.append(Table()),
    **dict.fromkeys(("EMPTY_LIST", "EMPTY_SET"), lambda machine, _: machine.stack.append([])),
    "EMPTY_TUPLE": lambda machine, _: machine.stack.append(()),
    "TUPLE1": lambda machine, _: machine.tuple_of(1),
    "TUPLE2": lambda machine, _: machine.tuple_of(2),
    "TUPLE3": lambda machine, _: machine.tuple_of(3),
    **dict.fromkeys(("TUPLE", "FROZENSET"), _Machine.marked_tuple),
    "APPEND": lambda machine, _: machine.add([machine.stack.pop()]),
    **dict.fromkeys(("APPENDS", "ADDITEMS"), lambda machine, _: machine.add(machine.to_mark())),
    "SETITEM": lambda machine, _: machine.set_items([machine.stack.pop(-2), machine.stack.pop()]),
    "SETITEMS": lambda machine, _: machine.set_items(machine.to_mark()),
    "POP": lambda machine, _: machine.stack.pop(),
    "GLOBAL": _Machine.name,
    "STACK_GLOBAL": _Machine.stack_name,
    "BINPERSID": _Machine.storage,
    **dict.fromkeys(("REDUCE", "NEWOBJ"), _Machine.call),
    "BUILD": _Machine.drop_state,
}

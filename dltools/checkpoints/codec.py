"""States as trees of JSON beside tensors: what goes in comes out, exactly, and all that is not listed here is refused.

Tensors of every dtype, numpy arrays and scalars, None, bool, int, float, str, list, tuple, and dict, OrderedDict and
Counter with str or int keys. What JSON lacks is a table with a ``"$"`` that says what it is.
"""

from __future__ import annotations

import math
import re
import struct
from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from dltools.checkpoints.tensors import TAGS, raw_bytes
from dltools.errors import CheckpointError

Tree: TypeAlias = Any
"""What the codec takes and gives."""
MAX_DEPTH = 100
MAPPINGS: dict[type[Any], str] = {dict: "dict", OrderedDict: "OrderedDict", Counter: "Counter"}
TENSORS = (Tensor, nn.Parameter, nn.Buffer)
PLAIN_DTYPE = re.compile(r"[<>|=][biufcSUmM]\d{1,9}(\[\d{0,9}[A-Za-z]{1,2}\])?")
"""What dtypes of numpy say whose values are their bytes: no objects, no fields."""


class Encoder:
    """Turns trees into JSON and gathers their tensors.

    ``weights`` are those on top of the part ``model``, ``tensors`` all others. A tensor that stands in several places
    is gathered once, except among the weights.
    """

    def __init__(self) -> None:
        self.weights: dict[str, Tensor] = {}
        self.tensors: dict[str, Tensor] = {}
        self._seen: dict[tuple[Any, ...], str] = {}
        self._above: list[int] = []

    def part(self, name: str, value: Tree) -> Any:
        """The JSON of a part; ``optim.state.lr_fn: function`` says what is refused and where."""
        if name == "model" and type(value) in MAPPINGS:
            weights = {key: x for key, x in value.items() if _is_weight(key, x)}
            self.weights = {key: _checked(x, f"model.{key}") for key, x in weights.items()}
            rest = type(value)((key, _Weight(key) if key in weights else x) for key, x in value.items())
            return self._encode(rest, name)
        return self._encode(value, name)

    def _encode(self, value: Any, path: str) -> Any:
        kind = type(value)
        if value is None or kind in (bool, str):
            return value
        if isinstance(value, _Weight):
            return {"$": "weight", "key": value.key}
        if kind is int:
            return value if abs(value) < 2**63 else {"$": "int", "hex": hex(value)}
        if kind is float:
            return value if math.isfinite(value) else {"$": "float", "bits": struct.pack(">d", value).hex()}
        if isinstance(value, Tensor):
            return self._tensor(value, path)
        if kind is np.ndarray or isinstance(value, np.generic):
            return self._array(value, path)
        if kind in MAPPINGS or kind in (list, tuple):
            return self._container(value, path)
        raise CheckpointError(
            f"{path}: {kind.__name__}", expected="tensors, arrays, numbers, str, None, and containers of them"
        )

    def _container(self, value: Any, path: str) -> Any:
        if id(value) in self._above or len(self._above) == MAX_DEPTH:
            raise CheckpointError(f"{path} is nested deeper than {MAX_DEPTH}, or holds itself")
        self._above.append(id(value))
        try:
            return self._sequence(value, path) if isinstance(value, list | tuple) else self._mapping(value, path)
        finally:
            self._above.pop()

    def _sequence(self, value: Any, path: str) -> Any:
        items = [self._encode(x, f"{path}.{i}") for i, x in enumerate(value)]
        return items if type(value) is list else {"$": "tuple", "items": items}

    def _mapping(self, value: Mapping[Any, Any], path: str) -> Any:
        for key in value:
            if type(key) not in (str, int):
                raise CheckpointError(f"{path}: key {key!r} is a {type(key).__name__}", expected="str or int keys")
        items = [(key, self._encode(x, f"{path}.{key}")) for key, x in value.items()]
        if type(value) is dict and all(type(key) is str for key in value) and "$" not in value:
            return dict(items)
        pairs = [[self._encode(key, path), x] for key, x in items]
        return {"$": MAPPINGS[type(value)], "items": pairs}

    def _tensor(self, x: Tensor, path: str) -> Any:
        order = _order(x := _checked(x, path))
        x, told = x.permute(order), {"order": order} if order != sorted(order) else {}
        if x.dtype in TAGS:
            return {"$": "tensor", "key": self._keep(x, path), **told}
        try:
            data = raw_bytes(x)
        except RuntimeError as error:
            raise CheckpointError(f"{path}: tensor of {x.dtype}") from error
        return {"$": "tensor", "key": self._keep(data, path), "dtype": str(x.dtype)[6:], "shape": list(x.shape), **told}

    def _array(self, value: Any, path: str) -> Any:
        x = np.asarray(value)
        if not PLAIN_DTYPE.fullmatch(x.dtype.str):
            kind = f"{type(value).__name__} of {x.dtype}"
            raise CheckpointError(f"{path}: {kind}", expected="numbers, bools, str, bytes or times")
        data = x.tobytes()
        if isinstance(value, np.generic):
            return {"$": "scalar", "dtype": x.dtype.str, "hex": data.hex()}
        stored = torch.frombuffer(bytearray(data), dtype=torch.uint8) if data else torch.empty(0, dtype=torch.uint8)
        return {"$": "ndarray", "key": self._keep(stored, path), "dtype": x.dtype.str, "shape": list(x.shape)}

    def _keep(self, x: Tensor, path: str) -> str:
        """Gather a tensor under its path; one that lies in the same place is the same."""
        place = (x.device, x.data_ptr(), x.dtype, x.shape, x.stride(), x.is_conj(), x.is_neg())
        if x.numel() and place in self._seen:
            return self._seen[place]
        key = path = path.encode("utf-8", "backslashreplace").decode()
        while key in self.tensors or key == "__metadata__":
            key = f"{path}~{len(self.tensors)}"
        self.tensors[key] = x
        self._seen[place] = key
        return key


@dataclass
class _Weight:
    """Stands in the tree of the model for a tensor of the weights file."""

    key: str


def _is_weight(key: Any, x: Any) -> bool:
    """Whether it can stand in the weights file under its own name."""
    named = type(key) is str and key != "__metadata__" and key.isprintable()
    return named and isinstance(x, Tensor) and x.dtype in TAGS


def _order(x: Tensor) -> list[int]:
    """The order of dimensions in which the values lie in memory, such as channels_last; as they are where it is none.

    It is kept because torch's fused optimizers take a moment and its parameter to lie alike.
    """
    usual = list(range(x.dim()))
    if x.is_contiguous():
        return usual
    strides = x.stride()
    order = sorted(usual, key=lambda dim: (-strides[dim], -x.shape[dim]))
    return order if x.permute(order).is_contiguous() else usual


def _checked(x: Tensor, path: str) -> Tensor:
    if type(x) not in TENSORS:
        raise CheckpointError(f"{path}: {type(x).__name__}", expected="a plain tensor")
    if x.layout != torch.strided or x.is_quantized or x.is_meta or x.is_nested:
        kind = "quantized" if x.is_quantized else "meta" if x.is_meta else "nested" if x.is_nested else x.layout
        raise CheckpointError(f"{path}: tensor that is {kind}", expected="a dense one with values")
    return x.detach()

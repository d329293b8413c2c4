"""From JSON and tensors back to states; every claim of a file is checked, and nothing is called by a name from it."""

from __future__ import annotations

import math
import struct
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dltools.checkpoints.codec import MAX_DEPTH, PLAIN_DTYPE, Tree
from dltools.checkpoints.tensors import as_dtype, legal_shape
from dltools.errors import CheckpointError

VIEWED = {
    str(dtype)[6:]: dtype
    for dtype in vars(torch).values()
    if isinstance(dtype, torch.dtype) and "quint" not in str(dtype) and "qint" not in str(dtype)
}
"""Dtypes that a tensor may be viewed as, by name."""


class Decoder:
    """Turns JSON of the ``Encoder`` back into trees."""

    def __init__(self, weights: Mapping[str, Tensor], tensors: Mapping[str, Tensor], file: str) -> None:
        self.weights: Mapping[str, Tensor] = weights
        self.tensors: Mapping[str, Tensor] = tensors
        self.file: str = file
        self._made: dict[tuple[Any, ...], Tensor] = {}
        self._kinds: dict[str, Callable[[dict[str, Any], str, int], Tree]] = {
            "int": self._int,
            "float": self._float,
            "weight": self._weight,
            "tensor": self._tensor,
            "ndarray": self._ndarray,
            "scalar": self._scalar,
            "tuple": self._tuple,
            "dict": self._mapping,
            "OrderedDict": self._mapping,
            "Counter": self._mapping,
        }

    def part(self, name: str, node: Any) -> Tree:
        """The state of a part."""
        try:
            return self._decode(node, name, 0)
        except (KeyError, TypeError, ValueError, OverflowError, RuntimeError) as error:
            if isinstance(error, CheckpointError):
                raise
            raise self._bad(name, f"{type(error).__name__} {str(error)[:200]}") from error

    def _decode(self, node: Any, path: str, depth: int) -> Tree:
        if depth > MAX_DEPTH:
            raise self._bad(path, f"is nested deeper than {MAX_DEPTH}")
        if isinstance(node, list):
            return [self._decode(x, f"{path}.{i}", depth + 1) for i, x in enumerate(node)]
        if not isinstance(node, dict):
            return node
        if "$" not in node:
            return {key: self._decode(x, f"{path}.{key}", depth + 1) for key, x in node.items()}
        kind = node["$"]
        if not isinstance(kind, str) or kind not in self._kinds:
            raise self._bad(path, f"is of unknown kind {str(kind)[:100]!r}")
        return self._kinds[kind](node, path, depth)

    def _int(self, node: dict[str, Any], path: str, depth: int) -> int:
        return int(node["hex"], 16)

    def _float(self, node: dict[str, Any], path: str, depth: int) -> float:
        try:
            value: float = struct.unpack(">d", bytes.fromhex(node["bits"]))[0]
        except struct.error as error:
            raise self._bad(path, "is no float of 8 bytes") from error
        return value

    def _weight(self, node: dict[str, Any], path: str, depth: int) -> Tensor:
        return self.weights[node["key"]]

    def _tensor(self, node: dict[str, Any], path: str, depth: int) -> Tensor:
        order = node.get("order", [])
        if not isinstance(order, list) or not all(type(dim) is int for dim in order):
            raise self._bad(path, f"has the order {str(order)[:200]}")
        place = (node["key"], *order)
        if place not in self._made:
            self._made[place] = self._placed(node, order, path)
        return self._made[place]

    def _placed(self, node: dict[str, Any], order: list[int], path: str) -> Tensor:
        x = self.tensors[node["key"]]
        if "dtype" in node:
            x = as_dtype(x, VIEWED[node["dtype"]], tuple(self._shape(node, path)), path)
        if order and sorted(order) != list(range(x.dim())):
            raise self._bad(path, f"has the order {order} and {x.dim()} dimensions")
        return x.permute([order.index(dim) for dim in range(x.dim())]) if order else x

    def _ndarray(self, node: dict[str, Any], path: str, depth: int) -> Any:
        data = self.tensors[node["key"]].numpy().data
        return _array(data, node["dtype"], self._shape(node, path), f"{path} in {self.file}")

    def _scalar(self, node: dict[str, Any], path: str, depth: int) -> Any:
        return _array(bytearray.fromhex(node["hex"]), node["dtype"], [], f"{path} in {self.file}")[()]

    def _tuple(self, node: dict[str, Any], path: str, depth: int) -> tuple[Any, ...]:
        return tuple(self._decode(x, f"{path}.{i}", depth + 1) for i, x in enumerate(_listed(node["items"])))

    def _mapping(self, node: dict[str, Any], path: str, depth: int) -> dict[Any, Any]:
        items = [(self._key(key, path), x) for key, x in _listed(node["items"])]
        pairs = [(key, self._decode(x, f"{path}.{key}", depth + 1)) for key, x in items]
        if node["$"] == "Counter":
            return Counter(dict(pairs))
        return OrderedDict(pairs) if node["$"] == "OrderedDict" else dict(pairs)

    def _key(self, node: Any, path: str) -> str | int:
        key = self._decode(node, path, MAX_DEPTH)
        if isinstance(key, bool) or not isinstance(key, str | int):
            raise self._bad(path, "has a key that is neither str nor int")
        return key

    def _shape(self, node: dict[str, Any], path: str) -> list[int]:
        shape: list[int] = node["shape"]
        if not legal_shape(shape):
            raise self._bad(path, f"has shape {str(shape)[:200]}")
        return shape

    def _bad(self, path: str, what: str) -> CheckpointError:
        return CheckpointError(f"{path[:200]} in {self.file}: {what}")


def _array(data: bytearray | memoryview, dtype: str, shape: list[int], where: str) -> NDArray[Any]:
    """The array whose memory these bytes are; a dtype named in a file makes nothing but plain values."""
    try:
        if not PLAIN_DTYPE.fullmatch(dtype):
            raise ValueError(dtype)
        kind = np.dtype(dtype)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{where} has dtype {dtype[:100]!r}") from error
    if len(data) != math.prod(shape) * kind.itemsize:
        raise CheckpointError(f"{where} has {len(data)} bytes", expected=f"those of {kind} {shape}")
    return np.ndarray(tuple(shape), kind, data)


def _listed(items: Any) -> list[Any]:
    if not isinstance(items, list):
        raise TypeError("items are no list")
    return items

"""Augmentations: ``plan`` draws everything random, ``apply`` does it; between them stands a plan that can be kept."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, TypedDict, TypeVar, final

import numpy as np
from numpy.typing import NDArray

from dltools.cfgutils.component import Component
from dltools.cfgutils.config import Config
from dltools.errors import ConfigError
from dltools.rng import Key

T_co = TypeVar("T_co", covariant=True)
CfgT = TypeVar("CfgT", bound="AugCfg[Any]")
JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"


class Sample(TypedDict, total=False):
    """What augmentations know of a sample; other keys pass through untouched."""

    image: NDArray[Any]
    """(H, W[, C]), uint8 or float32 (in 0..1)."""
    mask: NDArray[Any]
    """(H, W) class indices."""
    masks: NDArray[Any]
    """(N, H, W), one per object."""
    boxes: NDArray[Any]
    """(N, 4) x1 y1 x2 y2 in pixels; they name pixel edges."""
    keypoints: NDArray[Any]
    """(N, K, 2) or, with a visibility, (N, K, 3), in pixels; they name pixel centres."""
    labels: NDArray[Any]
    """(N,), one per object."""
    label: int | NDArray[Any]
    """Of the whole image: a class, or (C,) shares of classes."""
    id: int


class Samples(Protocol):
    """Where an augmentation finds partners for a sample."""

    def __len__(self) -> int:
        """Number of samples."""
        ...

    def __getitem__(self, i: int, /) -> Sample:
        """Sample ``i``."""
        ...


class AugCfg(Config[T_co]):
    """An augmentation."""

    def build(self) -> T_co:
        """The augmentation."""
        return self.product()(self)


@dataclass(frozen=True)
class Plan:
    """What an augmentation will do to one sample, with every number in it.

    >>> plan = Plan("hflip", {"matrix": [[-1.0, 0.0, 8.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]})
    >>> Plan.from_json(plan.to_json()) == plan, plan.matrix[0].tolist()
    (True, [-1.0, 0.0, 8.0])
    """

    op: str
    args: Mapping[str, JSON] = field(default_factory=dict)
    children: tuple[Plan, ...] = ()

    @property
    def matrix(self) -> NDArray[np.float64]:
        """(3, 3), from pixel edges of the input to those of the output; its inverse takes predictions back. Children
        act in order."""
        own = np.array(self.args.get("matrix", np.eye(3)), dtype=np.float64)
        for child in self.children:
            own = child.matrix @ own
        return own

    def to_json(self) -> str:
        """One line of JSON; numbers are kept to the last bit."""
        return json.dumps(self._tree())

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """The plan that ``to_json`` wrote. Raises ConfigError for anything else."""
        try:
            return cls._from_tree(json.loads(text))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ConfigError(f"not a plan: {text[:80]!r}", expected="JSON of Plan.to_json") from error

    def _tree(self) -> dict[str, Any]:
        return {"op": self.op, "args": dict(self.args), "children": [child._tree() for child in self.children]}

    @classmethod
    def _from_tree(cls, tree: Mapping[str, Any]) -> Plan:
        return cls(str(tree["op"]), dict(tree["args"]), tuple(map(cls._from_tree, tree["children"])))


class Aug(Component[CfgT], ABC):
    """An augmentation: ``aug(sample, key=key(seed, epoch, position))`` is always the same sample."""

    @abstractmethod
    def plan(self, sample: Sample, *, key: Key, source: Samples | None = None) -> Plan:
        """Draw everything random for this sample; ``source``: where partners come from, for augmentations that mix
        samples."""

    @abstractmethod
    def apply(self, sample: Sample, plan: Plan, *, source: Samples | None = None) -> Sample:
        """Do what the plan says. Nothing here is random, and the input is never written to."""

    @final
    def __call__(self, sample: Sample, *, key: Key, source: Samples | None = None) -> Sample:
        """Plan and apply."""
        return self.apply(sample, self.plan(sample, key=key, source=source), source=source)


def variants(aug: Aug[Any], sample: Sample, n: int, *, key: Key, source: Samples | None = None) -> list[Sample]:
    """``n`` versions of a sample: the original, then augmented ones under ``key.fold(1)``, ``key.fold(2)``, ..."""
    return [sample, *(aug(sample, key=key.fold(i), source=source) for i in range(1, n))][:n]

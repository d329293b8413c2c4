"""Error rates of texts: edits that turn a prediction into the target."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import cache
from typing import Any, ClassVar, TypeVar

from torch import Tensor

from dltools.errors import ShapeError
from dltools.meters.report import Reading
from dltools.metrics.base import Metric, MetricCfg
from dltools.states import State, States, Sum

T_co = TypeVar("T_co", covariant=True)
CfgT = TypeVar("CfgT", bound="ErrorRateCfg[Any]")


class ErrorRateCfg(MetricCfg[T_co]):
    """Texts are compared as they are: lower them, strip them before."""


class ErrorRate(Metric[CfgT]):
    """Edits (insert, delete, replace a token) over the tokens of the targets; pred and target are lists of strings."""

    higher: ClassVar[bool | None] = False
    counts_by: ClassVar[tuple[str, ...]] = ("tokens",)

    @abstractmethod
    def tokens(self, text: str) -> Sequence[Hashable]:
        """What is edited."""

    def layout(self) -> Mapping[str, State]:
        """Edits, tokens of targets, texts."""
        return {"edits": Sum(), "tokens": Sum(), "texts": Sum()}

    def check(self, pred: Sequence[str], target: Sequence[str]) -> None:
        for name, texts in (("pred", pred), ("target", target)):
            if isinstance(texts, str) or not (
                isinstance(texts, Sequence) and all(isinstance(text, str) for text in texts)
            ):
                raise ShapeError(f"{name} is {texts!r:.60}", expected="a list of strings")
        if len(pred) != len(target):
            raise ShapeError(f"{len(pred)} predictions, {len(target)} targets", expected="one for each")

    def count(self, s: States, pred: Sequence[str], target: Sequence[str], *, valid: Tensor) -> None:
        edits = tokens = texts = 0
        distance = edit_distance()
        for guess, truth, counts in zip(pred, target, valid.tolist(), strict=True):
            if counts:
                wanted = self.tokens(truth)
                edits += distance(self.tokens(guess), wanted)
                tokens += len(wanted)
                texts += 1
        for name, number in (("edits", edits), ("tokens", tokens), ("texts", texts)):
            s[name] += number

    def value(self, s: States) -> Reading:
        edits, tokens = int(s["edits"]), int(s["tokens"])
        return Reading(edits / tokens if tokens else math.nan, n=int(s["texts"]))


class CERCfg(ErrorRateCfg["CER"]):
    pass


class CER(ErrorRate[CERCfg]):
    """Character error rate.

    >>> cer = CER()
    >>> cer.update(["sitting"], ["kitten"])
    >>> cer.compute()
    Report(cer=0.5)
    """

    def tokens(self, text: str) -> Sequence[Hashable]:
        return text


class WERCfg(ErrorRateCfg["WER"]):
    pass


class WER(ErrorRate[WERCfg]):
    """Word error rate; words stand between white space.

    >>> wer = WER()
    >>> wer.update(["the cat sat"], ["the cat sat down"])
    >>> wer.compute()
    Report(wer=0.25)
    """

    def tokens(self, text: str) -> Sequence[Hashable]:
        return text.split()


@cache
def edit_distance() -> Callable[[Sequence[Hashable], Sequence[Hashable]], int]:
    """rapidfuzz's Levenshtein distance where it is installed, else one of our own."""
    try:
        from rapidfuzz.distance.Levenshtein import distance
    except ImportError:
        return levenshtein
    return distance


def levenshtein(a: Sequence[Hashable], b: Sequence[Hashable]) -> int:
    """Fewest edits that make ``b`` of ``a``, row by row.

    >>> levenshtein("sitting", "kitten")
    3
    """
    if len(a) > len(b):
        a, b = b, a
    row = list(range(len(a) + 1))
    for j, y in enumerate(b, 1):
        diagonal, row[0] = row[0], j
        for i, x in enumerate(a, 1):
            diagonal, row[i] = row[i], min(row[i] + 1, row[i - 1] + 1, diagonal + (x != y))
    return row[-1]

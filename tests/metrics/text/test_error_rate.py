from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from functools import cache

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dltools.errors import ShapeError
from dltools.metrics import CER, WER
from dltools.metrics.text.error_rate import edit_distance, levenshtein

texts = st.lists(st.tuples(st.text("ab ", max_size=8), st.text("ab ", max_size=8)), max_size=6)


def by_definition(a: str, b: str) -> int:
    """The recursion that defines the distance."""

    @cache
    def of(i: int, j: int) -> int:
        if not i or not j:
            return i + j
        return min(of(i - 1, j) + 1, of(i, j - 1) + 1, of(i - 1, j - 1) + (a[i - 1] != b[j - 1]))

    return of(len(a), len(b))


@pytest.fixture(params=[True, False], ids=["rapidfuzz", "alone"], scope="module")
def distance(request: pytest.FixtureRequest) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        if not request.param:
            patch.setitem(sys.modules, "rapidfuzz.distance.Levenshtein", None)
        edit_distance.cache_clear()
        assert (edit_distance() is levenshtein) != request.param
        yield
    edit_distance.cache_clear()


@given(pairs=texts)
def test_rates(distance: None, pairs: list[tuple[str, str]]) -> None:
    cer, wer = CER(), WER()
    for metric in (cer, wer):
        metric.update([a for a, _ in pairs], [b for _, b in pairs])
    length = sum(len(b) for _, b in pairs)
    expected = sum(by_definition(a, b) for a, b in pairs) / length if length else math.nan
    assert cer.compute()["cer"] == pytest.approx(expected, nan_ok=True)
    ids: dict[str, str] = {}
    coded = [["".join(ids.setdefault(w, chr(len(ids) + 65)) for w in text.split()) for text in pair] for pair in pairs]
    length = sum(len(b) for _, b in coded)
    expected = sum(by_definition(a, b) for a, b in coded) / length if length else math.nan
    assert wer.compute()["wer"] == pytest.approx(expected, nan_ok=True)
    assert wer.compute().n["wer"] == len(pairs)


def test_padded_texts_add_nothing() -> None:
    cer = CER()
    cer.update(["sitting", "x"], ["kitten", "y"], valid=torch.tensor([True, False]))
    assert cer.compute()["cer"] == 0.5


def test_mistakes() -> None:
    with pytest.raises(ShapeError, match="2 predictions, 1 targets"):
        CER().update(["a", "b"], ["a"])
    for wrong in ("ab", torch.zeros(2), [1, 2], {"a": 1, "b": 2}):
        with pytest.raises(ShapeError, match="a list of strings"):
            CER().update(wrong, ["a", "b"])
    with pytest.raises(ShapeError, match="target is None"):
        CER().update(["a"], None)

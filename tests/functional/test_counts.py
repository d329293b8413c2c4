"""Counts of soft and hard predictions against loops, and what a pass gives beside them."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from dltools.functional import OverlapCounts, hard_counts, one_pass
from tests.losses import reference as ref

CHANNELS = {"multiclass": 3, "multilabel": 2, "binary": 1}


def by_loop(seen: list[ref.Element], shape: tuple[int, ...]) -> OverlapCounts:
    counts = [torch.zeros(shape[:2], dtype=torch.float64) for _ in OverlapCounts._fields]
    for one in seen:
        for c in range(shape[1]) if one.channel is None else [one.channel]:
            p, y = (one.p[c], one.y[c]) if one.channel is None else (one.p[1], one.y[1])
            for sums, x in zip(counts, (p * y, p, y, p * p, y * y, 1.0), strict=True):
                sums[one.at[0], c] += one.weight * x
    return OverlapCounts(*counts)


def given(task: str, soft: bool) -> tuple[Tensor, Tensor, dict[str, Any]]:
    pred, target = ref.batch(1, 3, CHANNELS[task], 2, 4, task=task, soft=soft)
    if not soft:
        target[:, ..., 0] = 9
    generator = torch.Generator().manual_seed(2)
    mask = torch.rand(3, 2, 4, generator=generator) > 0.3
    weight_map = torch.rand(3, 2, 4, generator=generator, dtype=torch.float64)
    return pred, target, {"mask": mask, "weight_map": weight_map}


def close(found: OverlapCounts, expected: OverlapCounts) -> None:
    for one, two in zip(found, expected, strict=True):
        assert one.dtype == torch.float64
        torch.testing.assert_close(one, two, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(found.tp + found.fp + found.fn + found.tn, found.total, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(("task", "soft"), list(itertools.product(CHANNELS, (False, True))))
@pytest.mark.parametrize("over", ["sample", "batch"])
def test_counts_of_probabilities(task: Any, soft: bool, over: Any) -> None:
    pred, target, extra = given(task, soft)
    for given_extra in ({}, extra):
        expected = by_loop(ref.elements(pred, target, task=task, **given_extra), tuple(pred.shape))
        passed = one_pass(pred, target, task=task, over=over, **given_extra)
        close(passed.counts, expected.over(over))
        close(passed.overlap("batch"), expected.over("batch"))
        assert passed.counts is passed.counts


@pytest.mark.parametrize("task", CHANNELS)
@pytest.mark.parametrize("over", ["sample", "batch"])
def test_counts_of_decisions(task: Any, over: Any) -> None:
    pred, target, extra = given(task, False)
    num = CHANNELS[task]
    guess = pred.argmax(1) if task == "multiclass" else (pred > 0).long()
    guess[0, ..., 1] = 7  # hits nothing
    sure = torch.zeros_like(pred)
    for c in range(num):
        sure[:, c] = guess == c if task == "multiclass" else guess[:, c] == 1
    expected = by_loop(ref.elements(sure, target, task=task, holds="probs", **extra), tuple(pred.shape))
    for dtype in (torch.int64, torch.uint8):
        found = hard_counts(guess.to(dtype), target, num_classes=num, task=task, over=over, **extra)
        close(found, expected.over(over))


def test_a_pass_says_what_it_leaves_out() -> None:
    target = torch.tensor([[0, 1, 255, 3, -1, 2]])
    mask = torch.tensor([[True, False, True, True, True, True]])
    labels = one_pass(torch.zeros(1, 3, 6), target, ignore_index=255, mask=mask).labels
    assert labels.valid.tolist() == [[True, False, False, False, False, True]]
    assert (labels.num_valid.item(), labels.bad.item()) == (2, 2)
    assert labels.weight.tolist() == [[1.0, 0.0, 0.0, 0.0, 0.0, 1.0]]


@pytest.mark.parametrize("holds", ["logits", "probs", "log_probs"])
@pytest.mark.parametrize("task", CHANNELS)
@pytest.mark.parametrize("soft", [False, True])
def test_mean_log_probability(holds: Any, task: Any, soft: bool) -> None:
    pred, target = ref.batch(3, 2, CHANNELS[task], 5, task=task, soft=soft)
    log_p = pred.log_softmax(1) if task == "multiclass" else torch.nn.functional.logsigmoid(pred)
    held = {"logits": pred, "probs": log_p.exp(), "log_probs": log_p}[holds]
    other = torch.nn.functional.logsigmoid(-pred)
    expected = log_p.mean(1) if task == "multiclass" else (log_p + other) / 2
    found = one_pass(held, target, task=task, holds=holds).mean_log_p
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-13)

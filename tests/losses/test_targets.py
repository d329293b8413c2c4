"""What counts: ignored labels, masks, weights, dtypes, strides, labels out of range."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dltools.errors import DltoolsError, ShapeError
from dltools.losses import CELoss, CELossCfg, Combine, DiceLoss, DiceLossCfg, FocalLoss, Loss, TverskyLoss
from dltools.meters import collect
from tests.losses import reference as ref

LOSSES: dict[str, tuple[Any, dict[str, Any]]] = {
    "ce": (CELoss, {}),
    "smooth": (CELoss, {"label_smoothing": 0.1}),
    "focal": (FocalLoss, {"gamma": 1.5}),
    "dice": (DiceLoss, {}),
    "tversky": (TverskyLoss, {"over": "sample"}),
}
TASKS = {"multiclass": 4, "multilabel": 4, "binary": 1}
every = pytest.mark.parametrize("name", LOSSES)
tasks = pytest.mark.parametrize("task", TASKS)


def made(name: str, **fields: Any) -> Loss[Any]:
    cls, own = LOSSES[name]
    return cls(**own, **fields)


def run(loss: Loss[Any], pred: Tensor, target: Tensor, **extra: Any) -> tuple[Tensor, Tensor]:
    pred = pred.detach().requires_grad_()
    value = loss(pred, target, **extra)
    (grad,) = torch.autograd.grad(value.sum(), pred)
    return value.detach(), grad


@every
@tasks
@pytest.mark.parametrize("how", ["mask", "weight_map", "ignore_index"])
@pytest.mark.parametrize("holds", ["logits", "probs", "log_probs"])
@pytest.mark.parametrize("soft", [False, True])
def test_junk_under_excluded_elements_changes_nothing(name: str, task: str, how: str, holds: str, soft: bool) -> None:
    pred, target = ref.batch(3, 2, TASKS[task], 3, 4, task=task, soft=soft)
    pred = pred if holds == "logits" else pred.sigmoid() if holds == "probs" else -pred.abs()
    out = torch.rand(target.shape, generator=torch.Generator().manual_seed(4)) < 0.4
    if soft and task == "multiclass":
        out = out[:, :1].expand_as(target)
    across = out.unsqueeze(1).expand_as(pred) if out.ndim < pred.ndim else out
    keep = ~out[:, :1] if soft and task == "multiclass" else ~out
    loss = made(name, task=task, holds=holds, ignore_index=7 if how == "ignore_index" else None)
    extra: dict[str, Any] = {"mask": keep} if how == "mask" else {"weight_map": keep.double()}
    if how == "ignore_index":
        target, extra = target.masked_fill(out, 7), {}
    value, grad = run(loss, pred, target, **extra)
    assert value > 0
    for junk in (torch.nan, torch.inf, -1e30):
        other, slope = run(loss, pred.masked_fill(across, junk), target, **extra)
        assert torch.equal(other, value)
        assert torch.equal(slope, grad)
        assert not slope[across].any()
    if soft and how != "ignore_index":
        assert torch.equal(run(loss, pred, target.masked_fill(out, torch.nan), **extra)[0], value)


@every
def test_ignored_labels_may_be_legal(name: str) -> None:
    pred, target = ref.batch(5, 2, 4, 6)
    value, grad = run(made(name, ignore_index=2), pred, target)
    other, slope = run(made(name), pred, target, mask=target != 2)
    assert torch.equal(value, other)
    assert torch.equal(grad, slope)
    assert not grad.movedim(1, -1)[target == 2].any()


@every
def test_a_weight_of_2_is_a_pixel_twice(name: str) -> None:
    pred, target = ref.batch(6, 2, 4, 5)
    weight_map = torch.tensor([1.0, 2.0, 1.0, 0.0, 1.0], dtype=torch.float64)
    value, _ = run(made(name), pred, target, weight_map=weight_map.expand(2, 5))
    twice = torch.tensor([0, 1, 1, 2, 4])
    other, _ = run(made(name), pred[..., twice], target[..., twice])
    torch.testing.assert_close(value, other, rtol=1e-13, atol=0)


@every
def test_shapes_of_masks(name: str) -> None:
    pred, target = ref.batch(7, 2, 4, 3, 5)
    mask = torch.tensor([True, False, True, True, True]).view(1, 1, 5)
    value, _ = run(made(name), pred, target, mask=mask.expand(2, 3, 5))
    for same in (mask, mask.unsqueeze(1), mask.expand(2, 3, 5).unsqueeze(1), mask.float(), mask.int()):
        assert torch.equal(run(made(name), pred, target, mask=same)[0], value)
    pred, target = ref.batch(8, 2, 4, 3, 5, task="multilabel")
    value, _ = run(made(name, task="multilabel"), pred, target, mask=mask.expand(2, 3, 5))
    for same in (mask.unsqueeze(1), mask.expand(2, 4, 3, 5)):
        assert torch.equal(run(made(name, task="multilabel"), pred, target, mask=same)[0], value)


@every
@pytest.mark.parametrize("sizes", [(), (6,), (2, 3), (3, 2, 1)])
def test_dimensions_and_dtypes_of_targets(name: str, sizes: tuple[int, ...]) -> None:
    pred, target = ref.batch(9, 6, 2, *sizes)
    flat = pred.movedim(1, -1).reshape(6, -1, 2).movedim(-1, 1)
    value, grad = run(made(name), flat, target.view(6, -1))
    for dtype in (torch.uint8, torch.int8, torch.int16, torch.uint16, torch.int32, torch.int64, torch.bool):
        other, slope = run(made(name), pred, target.to(dtype))
        torch.testing.assert_close(other, value, rtol=1e-14, atol=0)
        torch.testing.assert_close(slope.reshape(grad.shape), grad, rtol=1e-12, atol=1e-16)


@every
@tasks
def test_strides_do_not_matter(name: str, task: str) -> None:
    for sizes, memory in (((3, 4), torch.channels_last), ((2, 3, 2), torch.channels_last_3d)):
        pred, target = ref.batch(10, 2, TASKS[task], *sizes, task=task)
        mask = torch.rand(2, *sizes, generator=torch.Generator().manual_seed(1)) > 0.3
        value, grad = run(made(name, task=task), pred, target, mask=mask)
        last = pred.contiguous(memory_format=memory)
        shuffled = pred.transpose(0, -1).contiguous().transpose(0, -1)
        strided = torch.stack([pred, pred], -1)[..., 1]
        turned = target.transpose(0, -1).contiguous().transpose(0, -1)
        for x, y, m in ((last, target, mask), (shuffled, turned, mask), (strided, target, mask.expand(2, *sizes))):
            assert x.stride() != pred.stride() or TASKS[task] == 1
            other, slope = run(made(name, task=task), x, y, mask=m)
            torch.testing.assert_close(other, value, rtol=1e-13, atol=0)
            torch.testing.assert_close(slope, grad, rtol=1e-11, atol=1e-16)


def test_binary_with_and_without_a_channel() -> None:
    pred, target = ref.batch(11, 3, 1, 2, 4, task="binary")
    for name in LOSSES:
        values = {
            run(made(name, task="binary"), x, y)[0].item() for x in (pred, pred[:, 0]) for y in (target, target[:, 0])
        }
        assert len(values) == 1
    assert CELoss(task="binary")(torch.zeros(3), torch.ones(3)).item() == pytest.approx(0.6931472)


@pytest.mark.parametrize(("task", "label"), [("multiclass", 4), ("multiclass", -1), ("binary", 2), ("multilabel", -7)])
@every
def test_labels_out_of_range_are_left_out_and_counted(name: str, task: str, label: int) -> None:
    pred, target = ref.batch(12, 2, TASKS[task], 6, task=task)
    mask = torch.ones(2, 6, dtype=torch.bool)
    mask[0, 1] = mask[1, 4] = False
    loss = made(name, task=task)
    value, grad = run(loss, pred, target, mask=mask)
    damaged = torch.where(mask if task == "multiclass" else mask.unsqueeze(1), target, label)
    other = made(name, task=task)
    assert torch.equal(run(other, pred, damaged)[0], value)
    assert torch.equal(run(other, pred, damaged)[1], grad)
    assert collect({"a": loss})["a/bad_targets"] == 0
    with pytest.warns(UserWarning, match="out of range") as seen:
        report = collect({"a": other})
    assert len(seen) == 1
    assert report["a/bad_targets"] == 2 * 2 * (1 if task == "multiclass" else TASKS[task])
    with pytest.raises(DltoolsError) as caught:
        made(name, task=task, check=True, ignore_index=200)(pred, damaged)
    legal = f"0 to {TASKS[task] - 1 if task == 'multiclass' else 1}"
    assert all(text in str(caught.value) for text in (f"label {label}", legal, "ignore_index, which is 200"))
    made(name, task=task, check=True)(pred, damaged, mask=mask)


def test_labels_that_are_excluded_anyway_are_not_bad() -> None:
    loss = Combine(terms={"a": CELossCfg(ignore_index=255), "b": DiceLossCfg(ignore_index=255)})
    target = torch.tensor([[0, 1, 255, 9]])
    loss(torch.zeros(1, 2, 4), target, mask=torch.tensor([[True, True, True, False]]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert collect({"a": loss})["a/bad_targets"] == 0


def test_one_bad_label_is_counted_once_however_many_losses_see_it() -> None:
    target = torch.tensor([[0, 1, 255, 9]])
    terms = {"a": CELossCfg(ignore_index=255), "b": DiceLossCfg(), "c": DiceLossCfg(ignore_index=0)}
    for loss in (
        Combine(terms=terms),
        Combine(terms={"a": terms["a"], "in": {"type": "Combine", "terms": terms}}),
        Combine(terms=terms, routes=dict.fromkeys(terms, ("", ""))),
    ):
        loss(torch.zeros(1, 2, 4), target)
        with pytest.warns(UserWarning, match="2 targets"):
            assert collect({"a": loss})["a/bad_targets"] == 2


def test_shares_out_of_range_and_probabilities_beyond() -> None:
    target = torch.tensor([[[0.5, 1.5], [0.5, -0.5]]])
    loss = CELoss()
    pred = torch.tensor([[[1.0, 5.0], [0.0, 7.0]]], dtype=torch.float64)
    assert loss(pred, target).item() == pytest.approx(0.5 * (0.3132617 + 1.3132617))
    with pytest.warns(UserWarning, match="1 targets"):
        assert collect({"a": loss})["a/bad_targets"] == 1
    with pytest.raises(DltoolsError, match=r"label -0.5, 1.5.*0 to 1"):
        CELoss(check=True)(pred, target)
    for holds, x in (("probs", pred), ("log_probs", pred)):
        with pytest.raises(DltoolsError, match=f"beyond {holds}.*holds='logits'"):
            CELoss(check=True, holds=holds)(x, torch.tensor([[0, 0]]))
        CELoss(check=True, holds=holds)(x.sigmoid() - float(holds == "log_probs"), torch.tensor([[0, 0]]))
    CELoss(check=True, holds="probs")(pred, torch.tensor([[0, 0]]), mask=torch.tensor([[True, False]]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_probabilities_that_are_said_to_be_logits(dtype: torch.dtype) -> None:
    pred, target = torch.randn(2, 5, 4, 4).to(dtype), torch.randint(5, (2, 4, 4))
    CELoss(check=True)(pred, target)
    CELoss(check=True, holds="probs")(pred.softmax(1), target)
    for spoiled in (pred.softmax(1), torch.where(target.unsqueeze(1) == 0, 9.0, pred.softmax(1))):
        with pytest.raises(DltoolsError, match=r"sums to 1 over the classes. Expected logits. Hint: holds='probs'\?"):
            CELoss(check=True, ignore_index=0)(spoiled, target)
    CELoss(check=True, ignore_index=9)(pred.softmax(1), torch.full_like(target, 9))


def test_arrays_are_no_tensors() -> None:
    with pytest.raises(ShapeError, match=r"target is a ndarray. Expected a tensor. Hint: torch.as_tensor\(target\)"):
        CELoss()(torch.randn(2, 3), np.array([0, 1]))

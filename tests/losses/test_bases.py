"""What the bases promise whoever derives from them: fields, elements, views of nested parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from dltools.errors import ConfigError, DltoolsError, ShapeError
from dltools.functional.overlap import OnePass
from dltools.losses import CELoss, CELossCfg, MSELoss, View
from dltools.losses.element import ElementLoss, ElementLossCfg, elements, read_elements
from dltools.losses.field import FieldLoss, FieldLossCfg
from dltools.losses.view import _floats, follow

N, C, S = 2, 3, 4
FLOATS = "Expected floats of one shape (N, ...)."


class ShareLossCfg(FieldLossCfg["ShareLoss"]):
    pass


class ShareLoss(FieldLoss[ShareLossCfg]):
    """The mean probability, which a loop can tell."""

    def field(self, view: OnePass) -> Tensor:
        return view.prob


def scene() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    pred = torch.rand(N, C, S, generator=generator, dtype=torch.float64)
    target = torch.randint(C, (N, S), generator=generator)
    mask = torch.tensor([[True, True, False, True], [False, True, True, True]])
    return pred / pred.sum(1, keepdim=True), target, mask, torch.rand(N, S, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("classes", [None, (0, 2), (2,)])
@pytest.mark.parametrize("class_weights", [None, (1.0, 2.0, 0.5)])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_field_is_weighed_by_pixels_and_classes(
    classes: tuple[int, ...] | None, class_weights: tuple[float, ...] | None, weighted: bool
) -> None:
    pred, target, mask, weight_map = scene()
    fields: dict[str, Any] = {"holds": "probs", "classes": classes, "class_weights": class_weights}
    given: dict[str, Any] = {"mask": mask, **({"weight_map": weight_map} if weighted else {})}
    terms, weights = torch.zeros(N, C, S, dtype=torch.float64), 0.0
    for n in range(N):
        for c in range(C):
            for s in range(S):
                weight = float(mask[n, s]) * (float(weight_map[n, s]) if weighted else 1.0)
                share = (class_weights or (1.0,) * C)[c] if classes is None or c in classes else 0.0
                terms[n, c, s] = weight * share * pred[n, c, s]
                weights += weight * share
    assert torch.allclose(ShareLoss(**fields, reduction="none")(pred, target, **given), terms, rtol=1e-6)
    assert ShareLoss(**fields, reduction="sum")(pred, target, **given).item() == pytest.approx(terms.sum().item())
    mean = ShareLoss(**fields)(pred, target, **given).item()
    assert mean == pytest.approx(terms.sum().item() / weights)


def test_a_field_of_labels_of_its_own_shape() -> None:
    pred, _, mask, _ = scene()
    for fitting in (mask, mask[:, None], mask[:, None].expand(N, C, S)):
        loss = ShareLoss(holds="probs", task="multilabel")(pred, torch.zeros(N, C, S), mask=fitting)
        assert loss.item() == pytest.approx(pred[mask[:, None].expand(N, C, S)].mean().item())


def test_a_class_that_is_not_chosen_may_be_infinite() -> None:
    class Far(ShareLoss):
        def field(self, view: OnePass) -> Tensor:
            return view.prob + torch.tensor([0.0, float("inf"), 0.0]).view(1, 3, 1)

    pred, target, _, _ = scene()
    far, near = Far(ShareLossCfg(holds="probs", classes=(0, 2))), ShareLoss(holds="probs", classes=(0, 2))
    assert far(pred, target).item() == near(pred, target).item()


REFUSED: list[tuple[Callable[[], object], type[Exception], str]] = [
    *[
        (lambda bad=bad: ShareLossCfg(classes=bad), ConfigError,  # type: ignore[misc]
         f"ShareLossCfg: classes is {bad}. Expected a class or more, each once. Hint: None for all")
        for bad in ((), (1, 1), (0, 2, 0))
    ],
    (lambda: ShareLoss(classes=(0, 3))(torch.zeros(2, 3, 4), torch.zeros(2, 4, dtype=torch.int64)), ShapeError,
     "classes (0, 3) for pred (2, 3, 4), task multiclass. Expected classes below 3."),
    (lambda: CELossCfg(reduction="none", sync="mean"), ConfigError,
     "CELossCfg: sync='mean' with reduction='none'. Expected a loss with one value to merge"),
    (lambda: View(None, torch.zeros(1)).tensors(), ShapeError, "pred or target is None. Expected tensors."),
    (lambda: View(torch.zeros(1), None).tensors(), ShapeError, "pred or target is None. Expected tensors."),
    (lambda: View({"a": 1, "b": 2}, torch.zeros(1)).tensors(), ShapeError,
     "pred is a dict with a, b. Expected a tensor. Hint: Combine has routes for parts."),
    (lambda: View(torch.zeros(1), [1]).tensors(), ShapeError,
     "target is a list. Expected a tensor. Hint: torch.as_tensor(target)."),
    (lambda: View(torch.zeros(1), torch.zeros(1), 3).tensors(), ShapeError,  # type: ignore[arg-type]
     "mask is a int. Expected a tensor. Hint: torch.as_tensor(mask)."),
    (lambda: View(torch.zeros(1), torch.zeros(1), None, "x").tensors(), ShapeError,  # type: ignore[arg-type]
     "weight_map is a str. Expected a tensor. Hint: torch.as_tensor(weight_map)."),
    (lambda: follow({"out": {"b": 1}}, "out.a", "pred"), ShapeError,
     "pred has no 'a' (route 'out.a'); it has b. Hint: known: b."),
    (lambda: follow([1, 2], "2", "target"), ShapeError, "target has no '2' (route '2'). Hint: it is a list."),
    (lambda: follow(3, "x", "pred"), ShapeError, "pred has no 'x' (route 'x'). Hint: it is a int."),
    (lambda: read_elements(torch.zeros(2, dtype=torch.int64), torch.zeros(2)), ShapeError,
     "pred (2,) int64, target (2,) float32. Expected floats of one shape (N, ...). Hint: pred.float()."),
    (lambda: read_elements(torch.zeros(2), torch.zeros(2, dtype=torch.int64)), ShapeError,
     "pred (2,) float32, target (2,) int64. Expected floats of one shape (N, ...). Hint: target.float()."),
    (lambda: read_elements(torch.zeros(()), torch.zeros(())), ShapeError,
     f"pred () float32, target () float32. {FLOATS} Hint: add the dimension of the samples in front."),
    (lambda: read_elements(torch.zeros(2, 1), torch.zeros(2)), ShapeError,
     "pred (2, 1) float32, target (2,) float32. Expected floats of one shape (N, ...). Hint: target.view_as(pred)."),
    (lambda: read_elements(torch.zeros(2), torch.zeros(3)), ShapeError,
     f"pred (2,) float32, target (3,) float32. {FLOATS} Hint: nothing is broadcast: make the sizes equal."),
]  # fmt: skip


@pytest.mark.parametrize(("make", "kind", "message"), REFUSED)
def test_what_is_refused_is_said_whole(make: Callable[[], object], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as caught:
        make()
    assert str(caught.value) == message


def checked(pred: Tensor, target: Tensor, **fields: Any) -> str:
    with pytest.raises(DltoolsError) as caught:
        CELoss(check=True, **fields)(pred, target)
    return str(caught.value)


def test_values_are_looked_at_if_one_asks_for_it() -> None:
    pred, target = torch.randn(2, 3, 4), torch.zeros(2, 4, dtype=torch.int64)
    many = torch.arange(3, 11).reshape(2, 4)
    label = "target has the label {}. Expected {}, or ignore_index, which is {}. Hint: ignore_index excludes one label."
    assert checked(pred, many, ignore_index=9) == label.format("3, 4, 5, 6, 7", "0 to 2", 9)
    assert checked(pred, target - 1) == label.format("-1", "0 to 2", None)
    assert checked(pred[:, :1], target + 2, task="binary") == label.format("2", "0 to 1", None)
    soft = torch.full((2, 3, 4), 0.5)
    soft[0, 0, 0] = 1.5
    assert checked(pred, soft, task="multilabel") == label.format("1.5", "0 to 1", None)
    shares = pred.softmax(1)
    assert checked(shares, target) == (
        "pred is nowhere negative and sums to 1 over the classes. Expected logits. Hint: holds='probs'?"
    )
    for bad in (2.0, -0.5):
        off = shares.clone()
        off[0, 0, 0] = bad
        assert checked(off, target, holds="probs") == (
            "pred reaches beyond probs. Expected probabilities 0 to 1. Hint: holds='logits'?"
        )
        fine = target.clone()
        fine[0, 0] = 255
        CELoss(check=True, holds="probs", ignore_index=255)(off, fine)
    CELoss(check=True, holds="probs")(shares, target)
    CELoss(check=True, holds="log_probs")(shares.log(), target)
    CELoss(check=True, task="binary")(torch.ones(2, 1, 4), target + 1)
    CELoss(check=True, ignore_index=0)(shares, target)  # nothing counts that could be looked at
    edges = torch.zeros(1, 2, 2)
    edges[0, 0] = 1
    CELoss(check=True, holds="probs")(edges, torch.zeros(1, 2, dtype=torch.int64))
    part = shares.clone()
    part[0, :, 0] = -1  # one pixel that is no share
    CELoss(check=True)(part, target)
    junk, left_out = shares.clone(), target.clone()
    junk[0, :, 0], left_out[0, 0] = -1, 255
    assert "sums to 1" in checked(junk, left_out, ignore_index=255)
    assert "sums to 1" in checked(torch.eye(3)[:2, :, None].repeat(1, 1, 4), target)
    off = shares.clone()
    off[0, 0, 0] = 1.5
    assert checked(pred, off) == label.format("1.5", "0 to 1", None)
    flags = torch.zeros(2, 3, 4, dtype=torch.int64)
    CELoss(check=True, holds="probs", task="multilabel")(shares, flags)
    off[1, 2, 3] = 1.5
    assert "beyond probs" in checked(off, flags, holds="probs", task="multilabel")
    flags[0, 0, 0] = flags[1, 2, 3] = 7
    CELoss(check=True, holds="probs", task="multilabel", ignore_index=7)(off, flags)
    almost = shares * 1.03
    CELoss(check=True)(almost, target)
    assert "sums to 1" in checked(shares.half() * 1.01, target)


def test_a_part_of_nested_tensors() -> None:
    tree = {"out": [{"x": 1}, {"x": 2}], "y": 3}
    assert follow(tree, "", "pred") is tree
    assert [follow(tree, path, "pred") for path in ("out.1.x", "out.0.x", "y")] == [2, 1, 3]
    x = torch.zeros(2, 3)
    ints = torch.zeros(5, 3, dtype=torch.int64)
    assert [t.dtype for t in _floats({"a": [x, ints, "word"], "b": (x.double(), 3)})] == [torch.float32, torch.float64]
    view = View({"a": x.double(), "b": ints}, {"a": x}, {"a": x}, x)
    assert view.dtype == torch.float64
    assert view.route("a", "a") is view.route("a", "a")
    assert view.route("a", "a") is not view.route("b", "a")
    assert view.route("a", "a").tensors()[2:] == (x, x)
    samples, bad = view.seen()
    assert (samples.item(), bad.item(), samples.dtype) == (2.0, 0.0, torch.float64)
    assert View(x[0, 0], x[0, 0]).seen()[0].item() == 1
    assert View(3, 4).seen()[0].item() == 0
    assert View([], []).dtype == torch.float32


def test_a_mask_of_a_target_that_nobody_reads_is_refused() -> None:
    x = torch.zeros(2, 3)
    for name in ("mask", "weight_map"):
        view = View({"a": x}, {"a": x}, **{name: {"aa": x}})
        view.route("a", "a")
        with pytest.raises(ShapeError) as caught:
            view.refuse_strays()
        assert str(caught.value) == f"{name} has 'aa', which no route leads to. Hint: did you mean 'a'?"
    View({"a": x}, {"a": x}, x, x).refuse_strays()


def test_what_losses_see_of_one_target_is_counted_once_and_of_several_added() -> None:
    pred, target = torch.randn(3, 3, 4), torch.zeros(3, 4, dtype=torch.int64)
    target[0, 0] = 7
    view = View({"a": pred, "b": pred}, {"x": target, "y": target})
    for task, holds in (("multiclass", "logits"), ("multiclass", "probs")):
        CELoss(task=task, holds=holds).sums(view.route("a", "x"))
    assert [x.item() for x in view.seen()] == [3, 1]
    CELoss().sums(view.route("b", "y"))
    assert [x.item() for x in view.seen()] == [3, 2]
    nothing = View(pred, torch.full((3, 4), 255))
    CELoss(ignore_index=255).sums(nothing)
    assert nothing.seen()[0].item() == 0


def test_views_share_what_is_read_alike() -> None:
    pred, target = torch.randn(2, 3, 4), torch.zeros(2, 4, dtype=torch.int64)
    view = View(pred, target)
    one = view.read(CELossCfg())
    assert view.read(CELossCfg(label_smoothing=0.1)) is one
    for other in (CELossCfg(holds="probs"), CELossCfg(ignore_index=1)):
        assert view.read(other) is not one
    x = torch.zeros(2, 3)
    view = View(x, x)
    assert elements(view) is elements(view)
    others = [elements(view, mask_dim=-1), elements(view, whole=True), elements(view, shares=True)]
    assert len({id(one) for one in [elements(view), *others]}) == 4


def test_a_loss_says_what_it_has_seen_last() -> None:
    loss = MSELoss()
    assert loss.parts() == {}
    value = loss(torch.ones(2, requires_grad=True), torch.zeros(2))
    assert value.item() == loss.parts()["loss"].item() == 1.0
    assert not loss.parts()["loss"].requires_grad
    assert loss.names() == ()
    assert loss(torch.ones(2, dtype=torch.float16), torch.zeros(2, dtype=torch.float16)).dtype == torch.float32
    assert loss(torch.ones(2, dtype=torch.float64), torch.zeros(2)).dtype == torch.float64


class HalfLossCfg(ElementLossCfg["HalfLoss"]):
    pass


class HalfLoss(ElementLoss[HalfLossCfg]):
    shares = True

    def element(self, pred: Tensor, target: Tensor) -> Tensor:
        return pred + 0 * target


def test_elements_out_of_range_are_left_out_and_named_if_checked() -> None:
    pred, target = torch.tensor([1.0, 3.0, 5.0, 9.0]), torch.tensor([0.0, 1.0, 1.5, -0.1])
    loss = HalfLoss()
    assert loss(pred, target).item() == 2.0
    assert HalfLoss(reduction="none")(pred, target).tolist() == [1.0, 3.0, 0.0, 0.0]
    with pytest.raises(DltoolsError, match="^2 targets are out of range"):
        HalfLoss(check=True)(pred, target)
    HalfLoss(check=True)(pred[:2], target[:2])

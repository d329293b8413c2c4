"""Pictures of losses: values and slopes over what is predicted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import torch
from torch import Tensor

from dltools import losses as dl
from dltools.visualizers.charts import draw_curves, new_figure

mpl.rcParams["svg.hashsalt"] = "dltools"  # the same file for the same picture


def _save(figure: Any, file: Path) -> None:
    figure.savefig(file, metadata={"Date": None})


def _each(loss: Any, pred: Tensor, target: Tensor, **extra: Any) -> tuple[Tensor, Tensor]:
    """Values and slopes of a loss, of each row by itself."""
    values, slopes = [], []
    for x, y in zip(pred, target, strict=True):
        x = x.clone().unsqueeze(0).requires_grad_()
        value = loss(x, y.unsqueeze(0), **extra)
        values.append(value.detach())
        slopes.append(torch.autograd.grad(value, x)[0].reshape(-1)[-1])
    return torch.stack(values), torch.stack(slopes)


def _pair(file: Path, x: Tensor, made: Mapping[str, tuple[Tensor, Tensor]], label: str) -> None:
    """Values on the left, slopes on the right."""
    figure = new_figure(8.4, 3.4)
    left, right = figure.subplots(1, 2)
    draw_curves(left, {name: (x.numpy(), value.numpy()) for name, (value, _) in made.items()}, title="loss")
    draw_curves(right, {name: (x.numpy(), slope.numpy()) for name, (_, slope) in made.items()}, title="slope")
    for axes in (left, right):
        axes.set_xlabel(label)
    _save(figure, file)


def of_probability(file: Path) -> None:
    """Pixel losses over the probability of the true side."""
    p = torch.linspace(0.02, 0.995, 80, dtype=torch.float64)
    named: dict[str, Any] = {
        "CELoss (BCE)": dl.BCELoss(holds="probs"),
        "FocalLoss, gamma 2": dl.FocalLoss(task="binary", holds="probs"),
        "PolyLoss, epsilon 1": dl.PolyLoss(task="binary", holds="probs", epsilon=1.0),
        "JSLoss": dl.JSLoss(task="binary", holds="probs"),
    }
    target = torch.ones(80, 1, 1)
    _pair(
        file, p, {k: _each(loss, p.view(-1, 1, 1), target) for k, loss in named.items()}, "probability of the true side"
    )


def of_error(file: Path) -> None:
    """Losses of magnitude over the error."""
    e = torch.linspace(-3, 3, 121, dtype=torch.float64)
    named: dict[str, Any] = {
        "MSELoss": dl.MSELoss(),
        "L1Loss": dl.L1Loss(),
        "HuberLoss": dl.HuberLoss(),
        "LogCoshLoss": dl.LogCoshLoss(),
        "QuantileLoss, q .8": dl.QuantileLoss(q=0.8),
    }
    _pair(file, e, {k: _each(loss, e.view(-1, 1), torch.zeros(121, 1).double()) for k, loss in named.items()}, "error")


def of_overlap(file: Path) -> None:
    """Overlap losses over the predicted probability of a square that is there, background predicted at .1."""
    p = torch.linspace(0.0, 1.0, 81, dtype=torch.float64)
    target = torch.zeros(81, 1, 8, 8, dtype=torch.float64)
    target[:, :, 2:6, 2:6] = 1
    pred = torch.where(target > 0, p.view(-1, 1, 1, 1), torch.tensor(0.1).double())
    fields: dict[str, Any] = {"task": "binary", "holds": "probs"}
    named: dict[str, Any] = {
        "DiceLoss": dl.DiceLoss(**fields),
        "JaccardLoss": dl.JaccardLoss(**fields),
        "SqDiceLoss": dl.SqDiceLoss(**fields),
        "TverskyLoss .3/.7": dl.TverskyLoss(alpha=0.3, beta=0.7, **fields),
        "FocalTverskyLoss": dl.FocalTverskyLoss(**fields),
        "MCCLoss": dl.MCCLoss(**fields),
    }
    lines = {k: (p.numpy(), _each(loss, pred, target)[0].numpy()) for k, loss in named.items()}
    figure = new_figure(5.4, 3.8)
    axes = figure.add_subplot()
    draw_curves(axes, lines, title="loss")
    axes.set_xlabel("probability where the object is (.1 elsewhere)")
    _save(figure, file)


def of_shift(file: Path) -> None:
    """Box losses over the shift of a unit box, in its own widths."""
    shift = torch.linspace(0, 3, 91, dtype=torch.float64)
    box = torch.tensor([0.0, 0.0, 1.0, 1.0], dtype=torch.float64).expand(91, 4)
    moved = box + torch.stack([shift, shift * 0, shift, shift * 0], 1)
    named: dict[str, Any] = {
        "IoULoss": dl.IoULoss(),
        "GIoULoss": dl.GIoULoss(),
        "DIoULoss": dl.DIoULoss(),
        "EIoULoss": dl.EIoULoss(),
        "AlphaIoULoss": dl.AlphaIoULoss(),
    }
    lines = {k: (shift.numpy(), _each(loss, moved, box)[0].numpy()) for k, loss in named.items()}
    figure = new_figure(5.4, 3.8)
    axes = figure.add_subplot()
    draw_curves(axes, lines, title="loss")
    axes.set_xlabel("shift of a box, in widths")
    _save(figure, file)


def of_points(file: Path) -> None:
    """Losses of coordinates over the distance of a point."""
    e = torch.linspace(0.01, 20, 100, dtype=torch.float64)
    pred = torch.stack([e, torch.zeros_like(e)], 1).view(-1, 1, 2)
    zero = torch.zeros_like(pred)
    named: dict[str, Any] = {"WingLoss": dl.WingLoss(), "SmoothL1Loss": dl.SmoothL1Loss()}
    made = {}
    for name, loss in named.items():
        value, _ = _each(loss, e.view(-1, 1, 1), zero[..., :1])
        made[name] = (e.numpy(), value.numpy())
    figure = new_figure(5.4, 3.6)
    axes = figure.add_subplot()
    draw_curves(axes, made, title="loss")
    axes.set_xlabel("error in pixels")
    _save(figure, file)


LOSS_PICTURES: dict[str, tuple[str, str, Callable[[Path], None]]] = {
    "probability": ("probabilistic", "Losses and slopes over the probability of the true side", of_probability),
    "error": ("magnitude", "Losses and slopes over the error", of_error),
    "overlap": ("statistical", "Overlap losses over the probability inside the object", of_overlap),
    "shift": ("detection", "Box losses over the shift of a box", of_shift),
    "points": ("keypoints", "Losses over the error of a point", of_points),
}
"""File, the group on whose section it stands, what it shows, how it is drawn."""

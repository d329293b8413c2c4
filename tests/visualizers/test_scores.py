"""The lines and bars are the numbers of the reports."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch

from dltools.errors import ShapeError
from dltools.metrics import PRCurve, Reliability, ROCCurve
from dltools.visualizers import pr_curve, reliability, roc_curve


def scores() -> tuple[torch.Tensor, torch.Tensor]:
    gen = torch.Generator().manual_seed(0)
    return torch.randn(200, 3, generator=gen), torch.randint(0, 3, (200,), generator=gen)


def test_a_line_per_class() -> None:
    roc, pr = ROCCurve(num_classes=3), PRCurve(num_classes=3)
    for metric in (roc, pr):
        metric.update(*scores())
    data = roc.compute().data("roc_curve")
    figure = roc_curve(data, title="val")
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    assert list(lines) == ["0", "1", "2", "chance"]
    np.testing.assert_array_equal(lines["1"].get_ydata(), data["tpr_1"])
    np.testing.assert_array_equal(lines["1"].get_xdata(), data["fpr_1"])
    assert figure.axes[0].get_title() == "val"
    data = pr.compute().data("pr_curve")
    lines = {line.get_label(): line for line in pr_curve(data).axes[0].lines}
    np.testing.assert_array_equal(lines["2"].get_ydata(), data["precision_2"])


def test_one_class_has_one_line() -> None:
    metric = ROCCurve(task="binary")
    metric.update(scores()[0][:, 0], scores()[1] > 0)
    lines = roc_curve(metric.compute().data("roc_curve")).axes[0].lines
    assert [line.get_label() for line in lines] == ["tpr", "chance"]


def test_reliability_has_a_bar_per_bin() -> None:
    metric = Reliability(bins=5)
    metric.update(*scores())
    data = metric.compute().data("reliability")
    above, below = reliability(data).axes
    assert [bar.get_height() for bar in below.patches] == data["n"].tolist()
    known = data["n"] > 0
    np.testing.assert_array_equal(above.lines[1].get_ydata()[known], data["accuracy"][known])


def test_it_can_be_saved_and_says_what_is_missing() -> None:
    file = io.BytesIO()
    roc_curve({"fpr": [0.0, 1.0], "tpr": [0.0, 1.0]}).savefig(file, format="png")
    assert file.getvalue().startswith(b"\x89PNG")
    with pytest.raises(ShapeError, match="data has no 'tpr'"):
        roc_curve({"fpr": [0.0, 1.0]})
    with pytest.raises(ShapeError, match="data has no 'recall'"):
        pr_curve({})

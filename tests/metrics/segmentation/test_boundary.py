"""Rims against erosions of scipy."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from dltools.errors import ShapeError
from dltools.metrics import BoundaryIoU
from tests.hostreads import count_host_reads
from tests.metrics.segmentation.test_geometric import blobs


@given(st.integers(0, 10**6), st.sampled_from([0.02, 0.1, 0.3]))
def test_values(seed: int, dilation: float) -> None:
    pred, target = blobs(seed, (20, 17)), blobs(seed + 1, (20, 17))
    hidden = torch.from_numpy(np.random.default_rng(seed).random(target.shape) < 0.1)
    target[hidden] = 255
    width = max(1, round(dilation * math.hypot(20, 17)))
    common, whole = np.zeros(3), np.zeros(3)
    for a, b in zip(pred.numpy(), target.numpy(), strict=True):
        for c in range(3):
            rims = [x & ~ndimage.binary_erosion(x, np.ones((3, 3)), width) for x in (a == c, b == c)]
            common[c] += (rims[0] & rims[1])[b != 255].sum()
            whole[c] += (rims[0] | rims[1])[b != 255].sum()
    metric = BoundaryIoU(num_classes=3, holds="labels", ignore_index=255, dilation=dilation)
    with count_host_reads() as reads:
        metric.update(pred[:1], target[:1])
        metric.update(pred[1:], target[1:])
    assert reads.count == 0
    with np.errstate(invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert metric.compute()["boundary_iou"] == pytest.approx(np.nanmean(common / whole))


def test_edges() -> None:
    metric = BoundaryIoU(num_classes=2, holds="labels")
    assert math.isnan(metric.compute()["boundary_iou"])
    x = torch.zeros(2, 8, 8, dtype=torch.int64)
    y = x.clone()
    y[1] = 7
    metric.update(x, y, valid=torch.tensor([True, False]))
    assert metric.compute()["boundary_iou"] == 1.0
    metric.update(x[:1], y[1:])
    with pytest.warns(UserWarning, match="64 elements.*0 to 1"):
        assert math.isnan(metric.compute()["boundary_iou"])
    with pytest.raises(ShapeError, match="images"):
        metric.update(torch.zeros(2, 8, dtype=torch.int64), torch.zeros(2, 8, dtype=torch.int64))

"""Weights of classes against scikit-learn's and their formulas in plain numbers."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

from dltools.errors import ConfigError, ShapeError
from dltools.functional import class_weights
from dltools.losses import CELoss, CELossCfg

COUNTS = [7, 100, 1, 12]


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    labels = np.repeat(range(4), COUNTS)
    expected = compute_class_weight("balanced", classes=np.arange(4), y=labels)
    np.testing.assert_allclose(class_weights(COUNTS), expected, rtol=1e-14)
    assert class_weights(torch.tensor(COUNTS)).dtype == np.float64


def test_other_weights_are_their_formulas() -> None:
    effective = [0.1 / (1 - 0.9**n) for n in COUNTS]
    np.testing.assert_allclose(class_weights(COUNTS, "effective", beta=0.9), effective, rtol=1e-13)
    assert class_weights(COUNTS, "effective", beta=0.0).tolist() == [1.0] * 4
    assert class_weights([10**9], "effective", beta=1 - 1e-9)[0] == pytest.approx(1e-9 / (1 - np.exp(-1.0)), rel=1e-6)
    np.testing.assert_allclose(class_weights(COUNTS, "median_freq"), [9.5 / n for n in COUNTS], rtol=1e-14)
    np.testing.assert_allclose(class_weights(COUNTS, "inv_sqrt"), [1 / n**0.5 for n in COUNTS], rtol=1e-14)


@pytest.mark.parametrize("method", ["balanced", "effective", "median_freq", "inv_sqrt"])
def test_a_class_never_seen_has_no_weight(method: Any) -> None:
    with pytest.warns(UserWarning, match="no sample of class 0, 2: weight 0") as caught:
        found = class_weights([0, 3, 0, 9], method, scale="mean")
    assert len(caught) == 1
    assert (found == 0).tolist() == [True, False, True, False]
    assert found[[1, 3]].mean() == pytest.approx(1, rel=1e-14)
    with pytest.warns(UserWarning, match="class 0, 1"):
        assert class_weights([0, 0], method, scale="mean").tolist() == [0, 0]


def test_a_loss_takes_them() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cfg = CELossCfg(class_weights=tuple(class_weights([3, 1], scale="mean")))
    assert cfg.class_weights == pytest.approx((0.5, 1.5))
    pred, target = torch.tensor([[1.0, 0.0]] * 4), torch.tensor([0, 0, 0, 1])
    each = [0.3132617, 1.3132617]
    assert CELoss(cfg)(pred, target).item() == pytest.approx(sum(each) / 2, rel=1e-6)


def test_what_is_refused() -> None:
    for counts in ([], 3, [[1, 2]]):
        with pytest.raises(ShapeError, match="Expected a number for each class"):
            class_weights(counts)
    for counts in ([1, -1], [1, np.nan], [1, np.inf]):
        with pytest.raises(ConfigError, match="Expected numbers >= 0"):
            class_weights(counts)
    with pytest.raises(ConfigError, match="beta is 1"):
        class_weights([1, 2], "effective", beta=1.0)
    method: Any = "inverse"
    with pytest.raises(ConfigError, match="method is 'inverse'. Expected balanced, effective"):
        class_weights([1, 2], method)

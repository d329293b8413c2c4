from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from dltools.data import ArrayDataset, digits
from dltools.errors import ShapeError


def test_digits_are_scikit_learns_halves() -> None:
    raw: Any = load_digits()
    whole, train, test = digits(), digits("train"), digits("test")
    assert (len(whole), len(train), len(test)) == (1797, 898, 899)
    for data, first in [(whole, 0), (train, 0), (test, 898)]:
        for i in (0, 1, len(data) - 1):
            sample = data[i]
            assert set(sample) == {"image", "label"}
            assert sample["image"].shape == (8, 8, 1)
            assert sample["image"].dtype == np.float32
            assert np.array_equal(sample["image"][..., 0] * 16, raw.images[first + i])
            assert type(sample["label"]) is int
            assert sample["label"] == raw.target[first + i]
    assert whole.columns["image"].min() == 0
    assert whole.columns["image"].max() == 1


def test_rows_are_read_only_views() -> None:
    images = np.zeros((3, 2, 2), np.float32)
    data = ArrayDataset(image=images, name=["a", "b", "c"], thing=np.array([None, 1, "x"], dtype=object))
    row = data[1]
    assert np.shares_memory(row["image"], images)
    with pytest.raises(ValueError, match="read-only"):
        row["image"][0] = 1
    images[1] = 5  # the caller's own array stays writeable
    assert (row["name"], row["thing"]) == ("b", 1)
    assert repr(data) == "ArrayDataset(image=float32[3, 2, 2], name=<U1[3], thing=object[3])"
    with pytest.raises(IndexError):
        data[3]


@pytest.mark.parametrize("columns", [{"a": [1, 2], "b": [1]}, {"a": 5}, {"a": [1], "b": 2}])
def test_columns_that_do_not_fit_together(columns: dict[str, Any]) -> None:
    with pytest.raises(ShapeError):
        ArrayDataset(**columns)


def test_no_columns_are_no_samples() -> None:
    assert len(ArrayDataset()) == 0

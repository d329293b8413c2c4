"""Real data that needs no download."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dltools.errors import MissingExtraError, ShapeError


class ArrayDataset:
    """Samples in memory: one array per key, sample i is row i of each; rows are read-only views.

    >>> data = ArrayDataset(image=np.zeros((3, 8, 8, 1), np.float32), label=[4, 0, 7])
    >>> len(data), data[2]["label"]
    (3, 7)

    Raises ShapeError for columns of different lengths, or a column without rows to take: a single number.
    """

    def __init__(self, **columns: ArrayLike) -> None:
        self.columns: dict[str, NDArray[Any]] = {name: np.asarray(column).view() for name, column in columns.items()}
        lengths = {name: column.shape[:1] for name, column in self.columns.items()}
        if len(set(lengths.values())) > 1 or () in lengths.values():
            raise ShapeError(f"columns of lengths {lengths}", expected="one row per sample in each")
        self._length = next((length for (length,) in lengths.values()), 0)
        for column in self.columns.values():
            column.flags.writeable = False

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, i: int) -> dict[str, Any]:
        rows = {name: column[i] for name, column in self.columns.items()}
        return {name: row.item() if isinstance(row, np.generic) else row for name, row in rows.items()}

    def __repr__(self) -> str:
        return f"ArrayDataset({', '.join(f'{k}={v.dtype}{list(v.shape)}' for k, v in self.columns.items())})"


def digits(part: Literal["train", "test", "all"] = "all") -> ArrayDataset:
    """The 1797 handwritten digits of scikit-learn, ``image`` (8, 8, 1) float32 in 0..1 and ``label`` int.

    ``train`` is the first half (898) and ``test`` the second (899), the unshuffled split of scikit-learn's own example:
    other people wrote it.

    >>> len(digits("train")), len(digits("test")), digits("test")[0]["label"]
    (898, 899, 8)

    Raises MissingExtraError without scikit-learn. Source: Alpaydin and Kaynak 1998, UCI Machine Learning Repository.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingExtraError("scikit-learn", "data") from error

    raw: Any = load_digits()
    half = len(raw.target) // 2
    rows = {"train": slice(0, half), "test": slice(half, None), "all": slice(None)}[part]
    images = (raw.images[rows, :, :, None] / 16).astype(np.float32)
    return ArrayDataset(image=images, label=raw.target[rows].astype(np.int64))

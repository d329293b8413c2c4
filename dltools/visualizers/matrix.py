"""Confusion matrices as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dltools.errors import ConfigError, ShapeError
from dltools.visualizers.lettering import lettering, put_text

if TYPE_CHECKING:
    from torch import Tensor

Normalize = Literal["true", "pred", "all"] | None

FULL = np.array([8, 48, 107], np.float64)
"""The colour of a share of 1; 0 is white."""
UNKNOWN = (236, 236, 236)
BLACK, WHITE, GREY = (np.full(3, level, np.float32) for level in (0, 255, 150))
MAX_SIZE, MIN_CELL, TEXT_CELL, TITLE_SIZE, LONGEST_NAME = 960, 2, 26, 60, 24
MARGIN, GAP = 30, 6
"""Pixels beside the cells without the names; between names and cells."""


def confusion_matrix(
    counts: ArrayLike | Tensor, names: Sequence[str] | None = None, *, normalize: Normalize = "true"
) -> NDArray[np.uint8]:
    """A picture ``(H, W, 3)`` of ``(C, C)`` counts: row t, column p is how often class t was taken for p.

    ``normalize`` shows percentages of each true class (the diagonal is the recall), of each predicted class (the
    precision), of everything, or with None the counts. A row without any shows ``-``. With many classes the cells
    shrink, and text that does not fit is left out. A matrix that is not square is a ShapeError. Extra: ``plot``.

    >>> confusion_matrix(np.array([[8, 2], [1, 9]]), ["cat", "dog"]).shape[2]
    3
    """
    matrix = _check(counts, names)
    shares = shares_of(matrix, normalize)
    size = len(matrix)
    cell = max(MIN_CELL, min(64, MAX_SIZE // max(1, size)))
    labels = [_shorten(str(name)) for name in (names if names is not None else range(size))]
    font = max(9, min(14, cell // 3))
    inks = [lettering(label, font) for label in labels] if cell >= font + 2 else []
    flat = all(ink.shape[1] < cell for ink in inks)
    above = inks if flat else [np.rot90(ink) for ink in inks]
    width = max((ink.shape[1] for ink in inks), default=0)
    height = max((ink.shape[0] for ink in above), default=0)
    left, top = MARGIN + width, MARGIN + height
    picture = np.full((top + size * cell + 8, left + size * cell + 8, 3), 255, np.uint8)
    body = picture[top : top + size * cell, left : left + size * cell]
    _paint(body, shares, cell)
    if cell >= TEXT_CELL:
        _write_cells(body, matrix, shares, cell, normalize)
    for k, (row, column) in enumerate(zip(inks, above, strict=True)):
        at = (k + 0.5) * cell
        put_text(picture, row, (top + at, left - GAP - row.shape[1] / 2), BLACK)
        put_text(picture, column, (top - GAP - (height if flat else len(column)) / 2, left + at), BLACK)
    if size * cell >= TITLE_SIZE:
        put_text(picture, lettering("prediction", 13), (12, left + size * cell / 2), BLACK)
        put_text(picture, np.rot90(lettering("truth", 13)), (top + size * cell / 2, 12), BLACK)
    return picture


def shares_of(matrix: NDArray[np.float64], normalize: Normalize) -> NDArray[np.float64]:
    """What the colours show, 0 to 1; NaN where there is nothing to take a share of, and in rows without any."""
    rows = matrix.sum(1, keepdims=True)
    wholes = {"true": rows, "pred": matrix.sum(0), "all": matrix.sum(), None: matrix.max(initial=0)}
    if normalize not in wholes:
        raise ConfigError(f"normalize is {normalize!r}", expected="'true', 'pred', 'all' or None")
    whole = np.where(rows > 0, wholes[normalize], 0)
    return np.divide(matrix, whole, out=np.full_like(matrix, np.nan), where=whole > 0)


def _check(counts: ArrayLike | Tensor, names: Sequence[str] | None) -> NDArray[np.float64]:
    to_host = getattr(counts, "detach", None)  # a tensor, known without an import of torch
    matrix = np.asarray(counts if to_host is None else to_host().cpu())
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.dtype.kind not in "biuf":
        raise ShapeError(f"counts have shape {matrix.shape}, dtype {matrix.dtype}", expected="numbers of shape (C, C)")
    if names is not None and len(names) != len(matrix):
        raise ShapeError(f"{len(names)} names for {len(matrix)} classes", expected="one name per class")
    matrix = matrix.astype(np.float64)
    if not (np.isfinite(matrix) & (matrix >= 0)).all():
        raise ConfigError("counts hold negative or non-finite numbers", expected="counts >= 0")
    return matrix


def _paint(body: NDArray[np.uint8], shares: NDArray[np.float64], cell: int) -> None:
    colors = np.rint(255 + (FULL - 255) * np.nan_to_num(shares)[:, :, None]).astype(np.uint8)
    colors[np.isnan(shares)] = UNKNOWN
    body[:] = colors.repeat(cell, 0).repeat(cell, 1)
    if cell >= 16:
        body[::cell] = body[:, ::cell] = UNKNOWN


def _write_cells(
    body: NDArray[np.uint8], matrix: NDArray[np.float64], shares: NDArray[np.float64], cell: int, normalize: Normalize
) -> None:
    font = max(9, min(16, cell // 3))
    for (row, column), share in np.ndenumerate(shares):
        text = _text(float(matrix[row, column]), float(share), normalize, precise=cell >= 40)
        color = GREY if text in ("-", "0") else WHITE if share > 0.5 else BLACK
        put_text(body, lettering(text, font), ((row + 0.5) * cell, (column + 0.5) * cell), color)


def _text(count: float, share: float, normalize: Normalize, *, precise: bool) -> str:
    if np.isnan(share):
        return "-"
    if count == 0:
        return "0"
    if normalize is not None:
        return f"{100 * share:.1f}" if precise and share < 0.9995 else f"{100 * share:.0f}"
    if count >= 10_000:
        return f"{count / 1000:.0f}k" if count < 1e6 else f"{count:.0e}".replace("e+0", "e")
    return f"{count:g}"


def _shorten(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"

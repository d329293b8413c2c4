"""Confusion matrices as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from dltools.errors import ConfigError, ShapeError
from dltools.visualizers.lettering import Coverage, lettering, put_text

if TYPE_CHECKING:
    from torch import Tensor

Normalize = Literal["true", "pred", "all"] | None

FULL = np.array([8, 48, 107], np.float64)
"""The colour of a share of 1; 0 is white."""
UNKNOWN = (236, 236, 236)
BLACK, WHITE, GREY = (0, 0, 0), (255, 255, 255), (150, 150, 150)
MAX_SIZE, MIN_CELL, TEXT_CELL, LONGEST_NAME = 960, 2, 26, 24


def confusion_matrix(
    counts: NDArray[Any] | Tensor, names: Sequence[str] | None = None, *, normalize: Normalize = "true"
) -> NDArray[np.uint8]:
    """A picture ``(H, W, 3)`` of ``(C, C)`` counts: row t, column p is how often class t was taken for p.

    ``normalize`` shows percentages of each true class (the diagonal is the recall), of each predicted class (the
    precision), of everything, or with None the counts. A class without any shows ``-``. With many classes the cells
    shrink, and text that does not fit is left out. Extra: ``plot``.

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
    margin = 30 + max((ink.shape[1] for ink in inks), default=0)
    picture = np.full((margin + size * cell + 8, margin + size * cell + 8, 3), 255, np.uint8)
    body = picture[margin : margin + size * cell, margin : margin + size * cell]
    _paint(body, shares, cell)
    if cell >= TEXT_CELL:
        _write_cells(body, matrix, shares, cell, normalize)
    _write_labels(picture, inks, margin, cell)
    _write_titles(picture, margin, size * cell)
    return picture


def shares_of(matrix: NDArray[np.float64], normalize: Normalize) -> NDArray[np.float64]:
    """What the colours show, 0 to 1; NaN where there is nothing to take a share of."""
    rows = matrix.sum(1, keepdims=True)
    whole = {
        "true": rows,
        "pred": matrix.sum(0, keepdims=True),
        "all": matrix.sum(keepdims=True),
        None: np.where(rows > 0, matrix.max(initial=0), 0),
    }
    if normalize not in whole:
        raise ConfigError(f"normalize is {normalize!r}", expected="'true', 'pred', 'all' or None")
    with np.errstate(invalid="ignore"):
        return np.where(whole[normalize] > 0, matrix, np.nan) / np.where(whole[normalize] > 0, whole[normalize], 1)


def _check(counts: NDArray[Any] | Tensor, names: Sequence[str] | None) -> NDArray[np.float64]:
    matrix = np.asarray(counts if isinstance(counts, np.ndarray) else counts.detach().cpu().numpy())
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
    if cell >= 8:
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


def _write_labels(picture: NDArray[np.uint8], inks: Sequence[Coverage], margin: int, cell: int) -> None:
    for k, ink in enumerate(inks):
        at = margin + (k + 0.5) * cell
        put_text(picture, ink, (at, margin - 6 - ink.shape[1] / 2), BLACK)
        put_text(picture, np.rot90(ink), (margin - 6 - ink.shape[1] / 2, at), BLACK)


def _write_titles(picture: NDArray[np.uint8], margin: int, size: int) -> None:
    if size >= 60:
        put_text(picture, lettering("prediction", 13), (11, margin + size / 2), BLACK)
        put_text(picture, np.rot90(lettering("truth", 13)), (margin + size / 2, 11), BLACK)


def _shorten(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"

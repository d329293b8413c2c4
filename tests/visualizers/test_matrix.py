from __future__ import annotations

import copy
import sys
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage

from dltools.errors import ConfigError, MissingExtraError, ShapeError
from dltools.visualizers import confusion_matrix
from dltools.visualizers.lettering import lettering, put_text

COUNTS = np.array([[6, 2, 0], [0, 0, 0], [3, 1, 4]])
CELL, EDGE = 64, 8
GREY = [236, 236, 236]
Picture = NDArray[np.uint8]


def cell(picture: Picture, row: int, column: int, size: int = 3) -> Picture:
    """A cell without its frame; the cells end 8 pixels before the picture does."""
    bottom, right = (length - EDGE - (size - k) * CELL for length, k in zip(picture.shape, (row, column), strict=False))
    return picture[bottom + 2 : bottom + CELL, right + 2 : right + CELL]


def background(picture: Picture, row: int, column: int) -> list[int]:
    """The colour of a cell, beside its text."""
    corner = cell(picture, row, column)[:8, :8].reshape(-1, 3)
    assert (corner == corner[0]).all()
    return [int(value) for value in corner[0]]


def glyphs(part: Picture) -> list[tuple[int, int]]:
    """Height and width of each letter, as connected ink, from left to right."""
    ink = np.abs(part.astype(int) - part[0, 0]).sum(2) > 60
    found = ndimage.find_objects(ndimage.label(ink, np.ones((3, 3)))[0])
    return [(s[0].stop - s[0].start, s[1].stop - s[1].start) for s in sorted(found, key=lambda s: s[1].start)]


def shade(share: float) -> list[int]:
    """White at 0, dark blue at 1, straight between."""
    return [round(255 * (1 - share) + full * share) for full in (8, 48, 107)]


@pytest.mark.parametrize(("normalize", "shares"), [
    ("true", [[0.75, 0.25, 0], None, [0.375, 0.125, 0.5]]),
    ("pred", [[2 / 3, 2 / 3, 0], None, [1 / 3, 1 / 3, 1]]),
    ("all", [[6 / 16, 2 / 16, 0], None, [3 / 16, 1 / 16, 4 / 16]]),
    (None, [[1, 2 / 6, 0], None, [3 / 6, 1 / 6, 4 / 6]]),
])  # fmt: skip
def test_colours_are_shares_and_an_empty_row_is_grey(normalize: Any, shares: list[list[float] | None]) -> None:
    picture = confusion_matrix(COUNTS, normalize=normalize)
    assert (picture.dtype, picture.shape[2]) == (np.uint8, 3)
    for row, expected in enumerate(shares):
        for column in range(3):
            color = GREY if expected is None else shade(expected[column])
            assert background(picture, row, column) == color


@pytest.mark.parametrize(("normalize", "lengths"), [
    ("true", [[4, 4, 1], [1, 1, 1], [4, 4, 4]]),  # 75.0 25.0 0, -, 37.5 12.5 50.0
    ("pred", [[4, 4, 1], [1, 1, 1], [4, 4, 3]]),  # 66.7 66.7 0, -, 33.3 33.3 100
    ("all", [[4, 4, 1], [1, 1, 1], [4, 3, 4]]),  # 37.5 12.5 0, -, 18.8 6.2 25.0
    (None, [[1, 1, 1], [1, 1, 1], [1, 1, 1]]),
])  # fmt: skip
def test_texts_are_percentages_or_counts(normalize: Any, lengths: list[list[int]]) -> None:
    picture = confusion_matrix(COUNTS, normalize=normalize)
    found = [[glyphs(cell(picture, row, column)) for column in range(3)] for row in range(3)]
    assert [[len(letters) for letters in row] for row in found] == lengths
    for ((height, width),) in found[1]:
        assert height < width < 10, "a dash"
    ((height, width),) = found[0][2]
    assert height > width > 5, "a zero"


def test_text_is_in_the_middle_and_can_be_read() -> None:
    picture = confusion_matrix(COUNTS)
    for row, column in ((0, 0), (0, 1), (2, 2)):
        part = cell(picture, row, column).astype(int)
        contrast = np.abs(part - part[0, 0]).sum(2)
        middle = ndimage.center_of_mass(contrast)
        assert middle == pytest.approx((30.5, 30.5), abs=2.5)
        assert contrast.max() > 300


def test_equal_cells_look_the_same_and_others_do_not() -> None:
    one, other = confusion_matrix(COUNTS), confusion_matrix([[60, 20, 0], [1, 1, 2], [0, 10, 10]])
    for column in range(3):
        np.testing.assert_array_equal(cell(one, 0, column), cell(other, 0, column))
    assert (cell(one, 0, 0) != cell(one, 0, 1)).any()


def test_large_counts_are_shortened() -> None:
    picture = confusion_matrix([[9_999, 12_345], [1_234_567, 3]], normalize=None)
    lengths = [[len(glyphs(cell(picture, row, column, 2))) for column in range(2)] for row in range(2)]
    assert lengths == [[4, 3], [3, 1]]  # 9999 12k, 1e6 3


def test_names_stand_beside_rows_and_above_columns() -> None:
    with_names = confusion_matrix(COUNTS, ["a", "bb", "ccc"])
    left, top = with_names.shape[1] - EDGE - 3 * CELL, with_names.shape[0] - EDGE - 3 * CELL
    for k in range(3):
        beside = with_names[top + k * CELL : top + (k + 1) * CELL, 24:left]
        above = with_names[24:top, left + k * CELL : left + (k + 1) * CELL]
        assert len(glyphs(beside)) == len(glyphs(above)) == k + 1
    for title, part in (("prediction", with_names[:22, left:]), ("truth", np.rot90(with_names[top:, :22], -1))):
        assert 4 * len(title) < sum(width for _, width in glyphs(part)) < 9 * len(title)
    long = confusion_matrix(COUNTS, ["a", "b", "a much longer name"])
    assert long.shape[0] > with_names.shape[0] + 80, "upright where they do not fit"
    assert confusion_matrix(COUNTS, ["a", "b", "c" * 500]).shape[1] < 600


def test_numbers_stand_for_names() -> None:
    np.testing.assert_array_equal(confusion_matrix(COUNTS), confusion_matrix(COUNTS, ["0", "1", "2"]))


@pytest.mark.parametrize(
    "counts", [COUNTS.tolist(), COUNTS.astype(float), torch.tensor(COUNTS), COUNTS.astype(np.uint8)]
)
def test_every_kind_of_counts_is_left_as_it_was(counts: Any) -> None:
    before = copy.deepcopy(counts)
    np.testing.assert_array_equal(confusion_matrix(counts), confusion_matrix(COUNTS))
    np.testing.assert_array_equal(counts, before)


@pytest.mark.parametrize(("classes", "most"), [(0, 100), (1, 200), (2, 250), (20, 1100), (100, 1100), (400, 1100)])
def test_any_number_of_classes(classes: int, most: int) -> None:
    picture = confusion_matrix(np.eye(classes))
    assert max(picture.shape) <= most
    if classes:
        cell = max(2, min(64, 960 // classes))
        body = picture[-EDGE - classes * cell : -EDGE, -EDGE - classes * cell : -EDGE]
        assert (body[cell - 1 :: cell, cell - 1 :: cell][np.eye(classes, dtype=bool)] == shade(1)).all()


@pytest.mark.parametrize(("counts", "names", "error"), [
    (np.zeros((2, 3)), None, ShapeError), (np.zeros(4), None, ShapeError), (np.zeros((1, 2, 2)), None, ShapeError),
    (np.array([["a"]]), None, ShapeError), (np.zeros((1, 1), complex), None, ShapeError), (COUNTS, ["a"], ShapeError),
    (-COUNTS, None, ConfigError), (np.full((2, 2), np.nan), None, ConfigError),
])  # fmt: skip
def test_what_is_no_confusion_matrix_is_refused(counts: Any, names: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        confusion_matrix(counts, names)


def test_normalize_is_checked() -> None:
    with pytest.raises(ConfigError, match="normalize is 'rows'"):
        confusion_matrix(COUNTS, normalize="rows")  # type: ignore[arg-type]


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.ft2font", None)
    with pytest.raises(MissingExtraError, match=r'pip install "dltools\[plot\]"'):
        confusion_matrix(COUNTS, ["never", "drawn", "before"])


def test_text_that_leaves_the_picture_is_cut() -> None:
    ink = lettering("MMMM", 20)
    for center in ((0, 0), (9, 9), (-100, 5), (5, 300), (10, 0)):
        canvas = np.full((10, 10, 3), 255, np.uint8)
        put_text(canvas, ink, center, np.zeros(3, np.float32))
        assert canvas.shape == (10, 10, 3)
    assert lettering(" ", 10).max() == 0

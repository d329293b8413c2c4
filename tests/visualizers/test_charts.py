from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dltools.errors import MissingExtraError, ShapeError
from dltools.visualizers import curves, lr_curve

NAN, INF = float("nan"), float("inf")


def pixels(figure: Figure) -> np.ndarray[Any, np.dtype[np.uint8]]:
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    canvas.draw()
    return np.array(canvas.buffer_rgba())[:, :, :3]


def texts(figure: Figure) -> list[str]:
    """What the legend says."""
    legend = figure.axes[0].get_legend()
    return [] if legend is None else [text.get_text() for text in legend.get_texts()]


def test_a_line_for_each_name(tmp_path: Path) -> None:
    figure = curves({"train": ([0, 1, 2], [3.0, 2.0, 1.0]), "val": (np.arange(2), np.ones(2))}, title="loss")
    (axes,) = figure.axes
    assert axes.get_title() == "loss"
    assert texts(figure) == ["train", "val"]
    first, second = axes.lines
    np.testing.assert_array_equal(first.get_xydata(), [[0, 3], [1, 2], [2, 1]])
    np.testing.assert_array_equal(second.get_xydata(), [[0, 1], [1, 1]])
    assert first.get_color() != second.get_color()
    figure.savefig(tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_it_is_drawn_in_its_colours() -> None:
    figure = curves({"a": ([0, 1], [0, 1])})
    drawn = pixels(figure)

    def color(x: float, y: float) -> list[int]:
        column, row = figure.axes[0].transData.transform((x, y))
        return [int(value) for value in drawn[drawn.shape[0] - 1 - round(row), round(column)]]

    assert color(0.25, 0.25) == color(0.5, 0.5) == color(0.75, 0.75) == [31, 119, 180]
    assert color(0.25, 0.1) == color(0.75, 0.3) == [255, 255, 255]


@pytest.mark.parametrize("gap", [NAN, INF, -INF])
def test_what_is_not_finite_is_a_gap(gap: float) -> None:
    (line, *_) = curves({"a": ([0, 1, 2, 3, 4], [1.0, 2.0, gap, 2.0, 1.0])}).axes[0].lines
    np.testing.assert_array_equal(line.get_ydata(), [1, 2, NAN, 2, 1])
    figure = curves({"a": ([0.0, 1.0, gap, 3.0, 4.0], [1, 1, 1, 1, 1])})
    drawn = pixels(figure)
    transform = figure.axes[0].transData.transform
    (left, row), (right, _) = transform((0.2, 1)), transform((1.8, 1))
    row = drawn.shape[0] - round(row)
    blue = (drawn[row - 3 : row + 3] == [31, 119, 180]).all(2).any(0)
    assert blue[round(left)]
    assert not blue[round(transform((1.2, 1))[0]) : round(transform((2.8, 1))[0])].any()
    assert blue[round(transform((3.5, 1))[0])]
    assert right > left


def test_a_point_between_gaps_is_seen() -> None:
    figure = curves({"a": ([0, 1, 2, 3, 4], [1.0, NAN, 2.0, NAN, 1.0])})
    (_, points) = figure.axes[0].lines
    np.testing.assert_array_equal(points.get_xydata(), [[0, 1], [2, 2], [4, 1]])
    assert texts(figure) == ["a"]
    one = curves({"a": ([0], [1.0])})
    assert (pixels(one)[100:] == [31, 119, 180]).all(2).sum() > 5


@pytest.mark.parametrize(("log", "gap"), [({"logx": True}, [2]), ({"logy": True}, [0, 1]), ({}, [])])
def test_logarithmic_axes_have_gaps_where_nothing_is_positive(log: dict[str, bool], gap: list[int]) -> None:
    figure = curves({"a": ([1, 2, 0, 4, 5], [0.0, -1.0, 1.0, 10.0, 100.0])}, **log)  # type: ignore[arg-type]
    axes = figure.axes[0]
    assert axes.get_xscale() == ("log" if "logx" in log else "linear")
    assert axes.get_yscale() == ("log" if "logy" in log else "linear")
    data = np.asarray(axes.lines[0].get_xydata())
    assert np.flatnonzero(np.isnan(data).any(1)).tolist() == gap
    pixels(figure)


def test_mark() -> None:
    figure = curves({"a": ([0, 1], [1, 0])}, mark=0.5)
    line = figure.axes[0].lines[-1]
    np.testing.assert_array_equal(line.get_xdata(), [0.5, 0.5])
    assert texts(figure) == ["a", "0.5"]
    assert texts(curves({}, mark=3.0)) == ["3"]
    assert texts(curves({"a": ([0], [0])}, mark=NAN)) == ["a"]


def test_nothing_is_legal() -> None:
    assert texts(curves({})) == []
    assert texts(curves({"a": ([], [])})) == ["a"]
    pixels(curves({"a": ([], [])}, logx=True, logy=True))
    pixels(curves({"a": ([0, 1], [NAN, NAN])}, logy=True))


def test_lr_curve() -> None:
    figure = lr_curve([1e-4, 1e-3, 1e-2], [2.0, 1.0, INF], suggestion=1e-3)
    (axes,) = figure.axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "linear")
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("learning rate", "loss")
    np.testing.assert_array_equal(axes.lines[0].get_xydata(), [[1e-4, 2], [1e-3, 1], [1e-2, NAN]])
    assert texts(figure) == ["loss", "0.001"]
    assert texts(lr_curve([1e-4, 1e-3], [2.0, 1.0])) == ["loss"]


@pytest.mark.parametrize(("x", "y"), [([0, 1], [0]), ([[0, 1]], [[0, 1]]), (0, 0)])
def test_other_shapes_are_refused(x: Any, y: Any) -> None:
    with pytest.raises(ShapeError, match="'a'"):
        curves({"a": (x, y)})


def test_what_is_given_is_not_modified() -> None:
    y = np.array([1.0, INF, 3.0])
    curves({"a": (np.arange(3), y)}, logy=True)
    assert y.tolist() == [1.0, INF, 3.0]


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    for call in (lambda: curves({}), lambda: lr_curve([1.0], [1.0])):
        with pytest.raises(MissingExtraError, match=r'pip install "dltools\[plot\]"'):
            call()


def test_never_pyplot() -> None:
    code = (
        "import sys; from dltools.visualizers import curves, confusion_matrix; curves({'a': ([0, 1], [0, 1])}); "
        "confusion_matrix([[1]]); sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

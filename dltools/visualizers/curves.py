"""Line charts as matplotlib figures, made without pyplot: no global state, no window."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dltools.errors import MissingExtraError, ShapeError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Line: TypeAlias = "tuple[ArrayLike, ArrayLike]"


def curves(
    lines: Mapping[str, Line],
    *,
    title: str = "",
    logx: bool = False,
    logy: bool = False,
    mark: float | None = None,
) -> Figure:
    """A line chart: ``lines`` holds x and y of each line by its name; ``mark`` draws a vertical line at that x.

    What is not finite, or not positive on a logarithmic axis, is a gap. The figure has an Agg canvas, so that
    ``figure.savefig("curves.png")`` works anywhere. Arrays that are not 1-d or differ in length are a ShapeError.
    Extra: ``plot``.

    >>> figure = curves({"train": ([0, 1, 2], [2.0, 1.0, 0.5])}, title="loss")
    >>> figure.axes[0].lines[0].get_ydata()
    array([2. , 1. , 0.5])
    """
    figure = new_figure(6.4, 4.0)
    axes = figure.add_subplot()
    draw_curves(axes, lines, title=title, logx=logx, logy=logy, mark=mark)
    return figure


def lr_curve(lrs: ArrayLike, losses: ArrayLike, suggestion: float | None = None) -> Figure:
    """A learning-rate test: the loss over the learning rate, which is logarithmic, and the suggested one marked."""
    figure = curves({"loss": (lrs, losses)}, title="learning rate test", logx=True, mark=suggestion)
    figure.axes[0].set_xlabel("learning rate")
    return figure


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of that many inches with an Agg canvas."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", "plot") from error
    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def draw_curves(
    axes: Axes,
    lines: Mapping[str, Line],
    *,
    title: str = "",
    logx: bool = False,
    logy: bool = False,
    mark: float | None = None,
) -> None:
    """The chart of :func:`curves` in axes of a larger figure."""
    if logx:
        axes.set_xscale("log", nonpositive="mask")
    if logy:
        axes.set_yscale("log", nonpositive="mask")
    for name, (xs, ys) in lines.items():
        x, y = _line(name, xs, ys)
        axes.plot(x, y, label=name, linewidth=1.5, marker=".", markevery=_alone(x, y).tolist())
    if mark is not None and np.isfinite(mark):
        axes.axvline(mark, color="0.4", linestyle="--", linewidth=1, label=f"{mark:.3g}")
    axes.set_title(title)
    axes.grid(visible=True, alpha=0.3)
    if lines or mark is not None:
        axes.legend()


def _line(name: str, xs: ArrayLike, ys: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, y = np.array(xs, np.float64), np.array(ys, np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        raise ShapeError(f"line {name!r} has x of shape {x.shape}, y of shape {y.shape}", expected="(N,) for both")
    y[~np.isfinite(y)] = np.nan
    x[~np.isfinite(x)] = np.nan
    return x, y


def _alone(x: NDArray[Any], y: NDArray[Any]) -> NDArray[np.intp]:
    """Points between two gaps, which no line would show."""
    real = np.concatenate([[False], np.isfinite(x) & np.isfinite(y), [False]])
    return np.flatnonzero(real[1:-1] & ~real[:-2] & ~real[2:])

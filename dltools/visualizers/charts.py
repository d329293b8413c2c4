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
    draw_curves(figure.add_subplot(), lines, title=title, logx=logx, logy=logy, mark=mark)
    return figure


def lr_curve(lrs: ArrayLike, losses: ArrayLike, suggestion: float | None = None) -> Figure:
    """A learning-rate test: the loss over the learning rate, which is logarithmic, and the suggested one marked.

    Both are ``(N,)``; otherwise as :func:`curves`.

    >>> figure = lr_curve([1e-4, 1e-3, 1e-2], [2.0, 1.0, 4.0], suggestion=1e-3)
    >>> figure.axes[0].get_xscale()
    'log'
    """
    figure = curves({"loss": (lrs, losses)}, title="learning rate test", logx=True, mark=suggestion)
    axes = figure.axes[0]
    axes.set_xlabel("learning rate")
    axes.set_ylabel("loss")
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
    axes.set(title=title, xscale="log" if logx else "linear", yscale="log" if logy else "linear")
    for name, (xs, ys) in lines.items():
        x, y = _line(name, xs, ys, logx=logx, logy=logy)
        (line,) = axes.plot(x, y, label=name, linewidth=1.5)
        if (alone := _alone(x, y)).any():
            axes.plot(x[alone], y[alone], ".", color=line.get_color())
    if mark is not None and np.isfinite(mark):
        axes.axvline(mark, color="0.4", linestyle="--", linewidth=1, label=f"{mark:.3g}")
    axes.grid(visible=True, alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.lines:
        axes.legend(frameon=False)


def _line(
    name: str, xs: ArrayLike, ys: ArrayLike, *, logx: bool, logy: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, y = np.array(xs, np.float64), np.array(ys, np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        raise ShapeError(f"line {name!r} has x of shape {x.shape}, y of shape {y.shape}", expected="(N,) for both")
    for values, log in ((x, logx), (y, logy)):
        values[~np.isfinite(values) | (log & (values <= 0))] = np.nan
    return x, y


def _alone(x: NDArray[Any], y: NDArray[Any]) -> NDArray[np.bool_]:
    """Points between two gaps, which no line would show."""
    real = np.concatenate([[False], np.isfinite(x) & np.isfinite(y), [False]])
    alone: NDArray[np.bool_] = real[1:-1] & ~real[:-2] & ~real[2:]
    return alone

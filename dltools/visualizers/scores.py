"""Pictures of what scores are worth: ROC and precision-recall curves, reliability."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from dltools.errors import ShapeError, did_you_mean
from dltools.visualizers.charts import Line, draw_curves, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Arrays = Mapping[str, ArrayLike]


def roc_curve(data: Arrays, *, title: str = "ROC") -> Figure:
    """True over false positive rate, a line per class: of ``report.data(name)`` of an ``ROCCurve``.

    >>> figure = roc_curve({"fpr": [0.0, 0.0, 1.0], "tpr": [0.0, 0.5, 1.0]})
    >>> figure.axes[0].get_xlabel()
    'false positive rate'
    """
    chance: Line = ([0, 1], [0, 1])
    return _unit_square({**_by_class(data, "fpr", "tpr"), "chance": chance}, title, *RATES)


def pr_curve(data: Arrays, *, title: str = "precision and recall") -> Figure:
    """Precision over recall, a line per class: of ``report.data(name)`` of a ``PRCurve``.

    >>> figure = pr_curve({"recall_0": [0.5, 1.0], "precision_0": [1.0, 0.5], "recall_1": [1.0], "precision_1": [0.5]})
    >>> [line.get_label() for line in figure.axes[0].lines[:1]]
    ['0']
    """
    return _unit_square(_by_class(data, "recall", "precision"), title, "recall", "precision")


def reliability(data: Arrays, *, title: str = "reliability") -> Figure:
    """Share of hits over confidence, and below how many elements each bin has: of the data of a ``Reliability``.

    >>> data = {"n": [4, 6], "confidence": [0.3, 0.8], "accuracy": [0.25, 0.75], "edges": [0.0, 0.5, 1.0]}
    >>> len(reliability(data).axes)
    2
    """
    names = ("n", "confidence", "accuracy", "edges")
    n, confidence, accuracy, edges = (np.asarray(_entry(data, name)) for name in names)
    figure = new_figure(4.8, 5.6)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    draw_curves(above, {"perfect": ([0, 1], [0, 1]), "model": (confidence, accuracy)}, title=title)
    above.set(ylabel="share of hits", xlim=(0, 1), ylim=(0, 1))
    below.bar(edges[:-1], n, np.diff(edges), align="edge", color="0.7", edgecolor="white")
    below.set(xlabel="confidence", ylabel="elements")
    below.spines[["top", "right"]].set_visible(False)
    return figure


RATES = ("false positive rate", "true positive rate")


def _unit_square(lines: Mapping[str, Line], title: str, x: str, y: str) -> Figure:
    figure = new_figure(4.8, 4.8)
    axes = figure.add_subplot()
    draw_curves(axes, lines, title=title)
    axes.set(xlabel=x, ylabel=y, xlim=(0, 1), ylim=(0, 1.02), aspect="equal")
    return figure


def _by_class(data: Arrays, x: str, y: str) -> dict[str, Line]:
    """The lines of one class, or of each with its number behind the names of its arrays."""
    ends = [name.removeprefix(x) for name in data if name.startswith(x)]
    if not ends:
        _entry(data, x)
    return {end.lstrip("_") or y: (_entry(data, x + end), _entry(data, y + end)) for end in ends}


def _entry(data: Arrays, name: str) -> ArrayLike:
    if name not in data:
        raise ShapeError(f"data has no {name!r}", hint=did_you_mean(name, data))
    return data[name]

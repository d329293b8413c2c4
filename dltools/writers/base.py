"""What loops call: one object whose methods are final; where the numbers go is behind ``put``."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, final

from numpy.typing import NDArray
from torch import Tensor

from dltools.cfgutils.config import Config
from dltools.errors import ConfigError, ShapeError
from dltools.functional.image import to_image
from dltools.writers.cfg import Delivery as Delivery
from dltools.writers.cfg import RunInfo as RunInfo
from dltools.writers.cfg import WriterCfg as WriterCfg
from dltools.writers.histogram import spread
from dltools.writers.lifecycle import Lifecycle
from dltools.writers.params import flatten
from dltools.writers.records import (
    Artifact,
    Hist,
    Image,
    Params,
    Scalars,
    Text,
    Value,
    check_name,
    check_step,
    check_text,
)
from dltools.writers.staging import RowReader

if TYPE_CHECKING:
    from matplotlib.figure import Figure

C = TypeVar("C", bound=WriterCfg[Any])


class Writer(Lifecycle[C]):
    """Where a loop's numbers go. All is checked at the call: a bad value raises, and nothing of its row is written.

    Nothing is opened before the first record; any thread may call. As a context manager it closes at the end, after an
    exception with the status "failed".

    >>> from dltools.writers.memory import MemoryWriter
    >>> with MemoryWriter() as writer:
    ...     writer.scalars({"val/loss": 0.25}, step=1, axis="epoch")
    ...     writer.text("note", "the learning rate was halved", step=7)
    >>> writer.state_dict()
    {'next': {'epoch': 2, 'step': 8}, 'runs': {}}
    """

    def __init__(self, cfg: C | None = None, /, **fields: Any) -> None:
        self._rows = RowReader()
        super().__init__(cfg, **fields)

    @final
    def scalars(self, values: Mapping[str, Value], step: int, *, axis: str = "step") -> None:
        """Log a row of numbers. Values on a device are copied there, and read at the next flush."""
        if self._forked():
            return
        step, axis = check_step(step), axis if axis == "step" else check_name(axis, "axis")
        numbers, staged = self._rows.read(values)
        record = Scalars(step, axis, round(time.time(), 6), numbers)
        if staged:
            self._delay(record, numbers, staged)
        else:
            self._send(record)

    @final
    def image(
        self, name: str, image: NDArray[Any] | Tensor, step: int, *, axis: str = "step", caption: str = ""
    ) -> None:
        """Log a picture, given as :func:`~dltools.functional.image.to_image` takes it; copied at the call."""
        if self._forked():
            return
        pixels = to_image(image)
        if not pixels.size:
            raise ShapeError(f"image {name!r} has shape {tuple(image.shape)}", expected="at least one pixel")
        at = _now(step, axis)
        self._send(Image(*at, check_name(name), pixels, caption=check_text(caption, "caption")))

    @final
    def figure(self, name: str, figure: Figure, step: int, *, axis: str = "step") -> None:
        """Log a matplotlib figure, drawn here and now."""
        from dltools.writers.png import render

        self.image(name, render(figure), step, axis=axis)

    @final
    def histogram(
        self, name: str, values: Tensor | NDArray[Any] | Hist, step: int, *, axis: str = "step", bins: int = 64
    ) -> None:
        """Log how values are spread: equal bins over the finite minimum to maximum, counted on their device."""
        if self._forked():
            return
        at, name = _now(step, axis), check_name(name)
        hist = values if isinstance(values, Hist) else spread(name, values, bins)
        self._send(replace(hist, step=at[0], axis=at[1], time=at[2], name=name))

    @final
    def text(self, name: str, text: str, step: int, *, axis: str = "step") -> None:
        """Log a text; Markdown where the backend shows it."""
        if not self._forked():
            self._send(Text(*_now(step, axis), check_name(name), check_text(text, "text")))

    @final
    def hparams(self, params: Config[Any] | Mapping[str, Any], metrics: Sequence[str] = ()) -> None:
        """Log hyperparameters, flattened with dots, and the metrics to judge them by; the same again are left out."""
        if not self._forked():
            names = tuple(check_name(metric, "metric") for metric in metrics)
            self._send(Params(*_now(0, "step"), flatten(params), names))

    @final
    def artifact(
        self, path: str | os.PathLike[str], name: str | None = None, *, kind: str = "file", step: int | None = None
    ) -> None:
        """Log a file or folder by its path; without a step, at the last one logged."""
        if self._forked():
            return
        place = Path(path)
        if not place.exists():
            raise ConfigError(f"artifact {str(place)!r} does not exist", expected="a file or folder")
        at = _now(max(0, self._next.get("step", 0) - 1) if step is None else step, "step")
        self._send(Artifact(*at, check_name(name or place.name), str(place), check_name(kind, "kind")))


def _now(step: int, axis: str) -> tuple[int, str, float]:
    return check_step(step), check_name(axis, "axis"), round(time.time(), 6)

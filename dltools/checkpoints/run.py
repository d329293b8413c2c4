"""The steps of a run that may be stopped at any moment and goes on to the last bit."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeVar

import torch
from torch import nn

from dltools import dist
from dltools.cfgutils.annotations import Positive, PositiveInt
from dltools.cfgutils.config import Config
from dltools.checkpoints.card import Ref
from dltools.checkpoints.parts import Stateful
from dltools.checkpoints.ranks import Poll
from dltools.checkpoints.signals import STOPS, Stops, leave
from dltools.checkpoints.store import Store
from dltools.errors import CheckpointError, ConfigError
from dltools.rng import key, seeded

B = TypeVar("B")
BATCHES = "batches"
"""The part under which the position in the batches is saved."""


class RunCfg(Config["Run"]):
    """How long a run is, when it saves, and whether it goes on where it stopped."""

    total_steps: PositiveInt
    """A run that goes on may be made longer; a schedule that follows it then has another value from there on."""
    seed: int | None = None
    """What is drawn in a step (dropout, mixing) derives from it, the step and the rank; None: 0, or the policy's."""
    save_steps: PositiveInt | None = None
    """Save every so many steps."""
    save_secs: Positive | None = 600.0
    """Save when the last save is so many seconds ago."""
    resume: bool = True
    """Go on from the newest checkpoint of the store, if it has one."""
    on_error: Literal["warn", "raise"] = "warn"
    """When the disk refuses a save: warn once and try again when the next is due, or stop."""

    def build(self, store: Store, parts: Mapping[str, Stateful]) -> Run:
        """The run; its parts are restored."""
        return self.product()(self, store, parts)


class Run:
    """Counts the steps, saves what is due, and goes on where an earlier process stopped.

    >>> import tempfile
    >>> from dltools.checkpoints.store import StoreCfg
    >>> from dltools.data.loader import Loader
    >>> store, net = StoreCfg(root=tempfile.mkdtemp(), min_free_gb=0).build(), nn.Linear(1, 1)
    >>> run = RunCfg(total_steps=3, save_steps=2).build(store, {"model": net})
    >>> [step for step, batch in run.steps(Loader([1.0, 2.0, 3.0, 4.0], batch_size=2))]
    [1, 2, 3]
    >>> RunCfg(total_steps=5).build(store, {"model": net}).step
    3

    SIGTERM and SIGINT inside ``steps`` wait for the end of the step; then the run is saved and left by SystemExit(143)
    or KeyboardInterrupt. With several ranks all of them stop, or save for time, at the same step.
    """

    def __init__(self, cfg: RunCfg, store: Store, parts: Mapping[str, Stateful]) -> None:
        if BATCHES in parts:
            raise ConfigError(
                f"a part is called {BATCHES!r}", hint="the batches given to steps() are saved under this name"
            )
        self.cfg = cfg
        self.store: Store = store
        self.parts: dict[str, Stateful] = dict(parts)
        self.step: int = 0
        """The step whose body runs, or ran last."""
        self.resumed: Ref | None = None
        """The checkpoint from which the run went on."""
        self._device = _device(self.parts)
        self._batches: Stateful | None = None
        self._position: Any = None
        self._saved_step, self._saved_at, self._warned = -1, time.monotonic(), False
        newest = store.newest() if cfg.resume else None
        if newest is not None:
            _refuse_beyond(cfg.total_steps, newest)
            loaded = store.load("newest", into=self.parts)
            self.step, self.resumed = loaded.step, loaded.ref
            self._saved_step = self.step
            self._position = loaded.parts.get(BATCHES)

    def __repr__(self) -> str:
        return f"build({self.cfg!r}, {self.store!r}, {sorted(self.parts)})"

    def steps(self, batches: Iterable[B]) -> Iterator[tuple[int, B]]:
        """Numbered batches up to ``total_steps``, pass after pass; after each body what is due is saved.

        Each body starts with the global generators of Python, numpy and torch seeded by (seed, step, rank); they are
        put back after it. ``batches`` has a state, as ``data.Loader`` does, or is a ConfigError.
        """
        source = self._endless(batches, self._take(batches))
        poll = Poll(1 + len(STOPS))
        with Stops() as stops:
            for step in range(self.step + 1, self.cfg.total_steps + 1):
                at = key(self.cfg.seed or 0, "step", step, dist.rank())
                with seeded(at.fold("batch"), self._device):
                    batch = next(source)
                self.step = step
                with seeded(at, self._device):
                    yield step, batch
                late, *asked = poll.ask([self._is_late(), *(one in stops.heard for one in STOPS)])
                if late or any(asked) or self._is_due():
                    self._save_once()
                leave(asked)
            leave(poll.answer()[1:])
        leave([one in stops.heard for one in STOPS])  # while the last step was saved

    def save(self, metrics: Mapping[str, float] | None = None, *, tags: Sequence[str] = ()) -> Ref | None:
        """Save the state after this step, last in its body; None if the disk refused and ``on_error`` is "warn"."""
        if self._batches is None:
            raise ConfigError(
                "run.save() before run.steps() began", hint="store.save() saves without a position in the batches"
            )
        try:
            ref = self.store.save({**self.parts, BATCHES: self._batches}, step=self.step, metrics=metrics, tags=tags)
        except CheckpointError as error:
            if self.cfg.on_error == "raise" or not isinstance(error.__cause__, OSError):
                raise
            if not self._warned:
                warnings.warn(f"step {self.step} is not saved: {error}", UserWarning, stacklevel=2)
            self._warned = True
            return None
        finally:
            self._saved_at = time.monotonic()
        self._saved_step, self._warned = self.step, False
        return ref

    def _take(self, batches: Iterable[Any]) -> bool:
        """Bring the batches to their position; whether they had one."""
        if not isinstance(batches, Stateful):
            raise ConfigError(
                f"batches are a {type(batches).__name__}, whose position cannot be saved",
                expected="state_dict and load_state_dict",
                hint="dltools.data.Loader has them",
            )
        position = batches.state_dict() if self._batches is batches else self._position
        if self.resumed and position is None:
            raise CheckpointError(
                f"{self.resumed.path} has no part {BATCHES!r}, so the run cannot go on exactly",
                hint="save with run.save(), or load it yourself and set resume=False",
            )
        if position is not None:
            batches.load_state_dict(position)
        self._batches = batches
        return position is not None

    def _endless(self, batches: Iterable[B], may_be_at_end: bool) -> Iterator[B]:
        """Pass after pass; one that goes on from a position may have nothing left."""
        while True:
            is_empty = True
            for batch in batches:
                is_empty = False
                yield batch
            if is_empty and not may_be_at_end:
                raise ConfigError("a pass over the batches was empty", expected="at least one batch")
            may_be_at_end = False

    def _is_late(self) -> bool:
        return self.cfg.save_secs is not None and time.monotonic() - self._saved_at >= self.cfg.save_secs

    def _is_due(self) -> bool:
        """By the number of the step; the last one too, if anything is saved by itself."""
        every = self.cfg.save_steps
        is_last = self.step == self.cfg.total_steps and (every is not None or self.cfg.save_secs is not None)
        return is_last or (every is not None and self.step % every == 0)

    def _save_once(self) -> None:
        """Save, unless the body has."""
        if self._saved_step != self.step:
            self.save()


def _refuse_beyond(total_steps: int, newest: Ref) -> None:
    if newest.step > total_steps:
        raise ConfigError(
            f"total_steps is {total_steps}, and the run in {newest.path.parent} is at step {newest.step}",
            expected=f"total_steps >= {newest.step}",
            hint="another root for another run, or resume=False",
        )


def _device(parts: Mapping[str, Stateful]) -> torch.device | None:
    """Where the first module's parameters are."""
    modules = (part for part in parts.values() if isinstance(part, nn.Module))
    return next((param.device for module in modules for param in module.parameters()), None)

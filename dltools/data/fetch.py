"""What makes a batch: samples by their ids, transformed under their own keys, collated. The same in every process."""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch

from dltools.rng import Key, key


class Source(Protocol):
    """Samples by number: a list, a torch Dataset with a length, an array."""

    def __len__(self) -> int:
        """Number of samples."""
        ...

    def __getitem__(self, i: int, /) -> Any:
        """Sample ``i``."""
        ...


class Job(NamedTuple):
    """A batch by its address."""

    epoch: int
    start: int
    """First position of the global batch, of which this is one rank's part."""
    positions: range
    ids: list[int]


@dataclass(frozen=True)
class Fetch:
    """Makes the batch of a job; a pure function of it, as far as source and transform draw only what is seeded here."""

    source: Source
    transform: Callable[..., Any] | None
    collate: Callable[[Sequence[Any]], Any]
    seed: int
    seeds_globals: bool
    """Whether ``random``, ``numpy.random`` and torch's CPU generator are seeded per sample; threads share them, so not
    there."""
    extras: tuple[str, ...] = field(init=False)
    """Which of ``key`` and ``source`` the transform takes."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "extras", _accepted(self.transform))

    def __call__(self, job: Job) -> Any:
        """The batch."""
        epoch_key = key(self.seed, "sample", job.epoch)
        with _globals_restored() if self.seeds_globals else nullcontext():
            samples = [
                self._sample(epoch_key.fold(position), i, job.epoch, position)
                for position, i in zip(job.positions, job.ids, strict=True)
            ]
            return self.collate(samples)

    def _sample(self, sample_key: Key, i: int, epoch: int, position: int) -> Any:
        if self.seeds_globals:
            _seed_globals(sample_key.seed())
        try:
            sample = self.source[i]
            if self.transform is None:
                return sample
            offered = {"key": sample_key, "source": self.source}
            return self.transform(sample, **{name: offered[name] for name in self.extras})
        except Exception as error:
            error.add_note(f"while making sample id {i} of epoch {epoch}, position {position}")
            raise


def _accepted(transform: Callable[..., Any] | None) -> tuple[str, ...]:
    try:
        parameters = inspect.signature(transform).parameters if transform else {}
    except ValueError:  # some callables written in C have no signature
        return ()
    return tuple(name for name in ("key", "source") if name in parameters)


def _seed_globals(number: int) -> None:
    random.seed(number)
    np.random.seed(number % 2**32)
    torch.default_generator.manual_seed(number)


@contextmanager
def _globals_restored() -> Iterator[None]:
    states = random.getstate(), np.random.get_state(), torch.default_generator.get_state()
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.default_generator.set_state(states[2])

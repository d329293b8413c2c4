"""The loader: batches by their position, so that any number of workers, ranks or restarts gives the same ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypedDict, Unpack

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from dltools import dist
from dltools.cfgutils.annotations import NonNegativeInt, PositiveInt
from dltools.cfgutils.config import Config
from dltools.data.batches import on_tensors
from dltools.data.collate import collate as default_collate
from dltools.data.fetch import Fetch, Job, Source
from dltools.data.pools import Pool
from dltools.data.samplers.base import IndexSampler, SamplerCfg
from dltools.data.samplers.shuffle import ShuffleSamplerCfg
from dltools.errors import ConfigError, DltoolsError

Collate = Callable[[Sequence[Any]], Any]


class LoaderCfg(Config["Loader"]):
    """Batches of a source."""

    batch_size: PositiveInt = 32
    """Samples per batch and rank."""
    sampler: SamplerCfg[Any] = ShuffleSamplerCfg()
    """The order of the samples."""
    last: Literal["pad", "drop", "ragged"] = "pad"
    """End of an epoch: even the ranks out with its first samples; drop what fills no batch on every rank; let ranks
    differ by a sample, which is the one for evaluation: each sample counts once."""
    seed: int | None = None
    """Order and augmentations derive from it; None: 0, or the seed of the policy around it."""
    workers: NonNegativeInt = 0
    """Processes or threads that make batches; 0: the calling one."""
    pool: Literal["process", "thread"] = "process"
    """Threads suit transforms that release the GIL; they leave the global generators alone, so randomness must come
    from ``key``."""
    prefetch: PositiveInt = 2
    """Batches made ahead per worker."""
    pin: bool = False
    """Put batches into page-locked memory, for copies to a GPU that do not wait; nothing without CUDA."""

    def build(
        self,
        source: Source,
        transform: Callable[..., Any] | None = None,
        *,
        values: ArrayLike | None = None,
        collate: Collate = default_collate,
        rank: int | None = None,
        world: int | None = None,
    ) -> Loader:
        """The loader of a source; arguments as in ``Loader``."""
        fields = {name: getattr(self, name) for name in LoaderFields.__annotations__}
        made: Loader = self.product()(
            source, transform, values=values, collate=collate, rank=rank, world=world, **fields
        )
        return made


class LoaderFields(TypedDict, total=False):
    """The fields of ``LoaderCfg``, as keyword arguments of ``Loader``."""

    batch_size: int
    sampler: SamplerCfg[Any]
    last: Literal["pad", "drop", "ragged"]
    seed: int | None
    workers: int
    pool: Literal["process", "thread"]
    prefetch: int
    pin: bool


class Loader:
    """Iterates over batches of a source; a batch is a pure function of (seed, epoch, position).

    ``transform(sample)`` gets ``key=`` (and ``source=``) if it has such a parameter: the sample's own key, from which
    all its randomness should come. ``random``, ``numpy.random`` and torch's CPU generator are seeded per sample too
    (not in threads) and restored after each batch. ``values``: one number per sample for samplers that need it.
    ``rank`` and ``world``: those of ``torch.distributed`` by default; a global batch is ``world * batch_size``
    consecutive positions of the sampler's order, of which rank r takes every world-th from r.

    ``iter()`` goes on from ``state_dict()``'s position, which counts batches handed out, not those prefetched; after a
    pass abandoned by ``break`` the next one starts the next epoch.

    >>> from dltools.data.samplers.sequential import SequentialSamplerCfg
    >>> loader = Loader([10, 11, 12, 13, 14], batch_size=2, sampler=SequentialSamplerCfg())
    >>> [batch.tolist() for batch in loader], loader.state_dict()
    ([[10, 11], [12, 13], [14]], {'seed': 0, 'epoch': 1, 'consumed': 0})

    What source or transform raises is raised at its batch, of the same class, with id, epoch and position as a note;
    ``iter()`` then tries that batch again. A worker that is killed is a DltoolsError.
    """

    def __init__(
        self,
        source: Source,
        transform: Callable[..., Any] | None = None,
        *,
        values: ArrayLike | None = None,
        collate: Collate = default_collate,
        rank: int | None = None,
        world: int | None = None,
        **fields: Unpack[LoaderFields],
    ) -> None:
        self.cfg: LoaderCfg = LoaderCfg(**fields)
        self.dataset = source
        self.rank: int = dist.rank() if rank is None else rank
        self.world: int = dist.world() if world is None else world
        if not 0 <= self.rank < self.world:
            raise ConfigError(f"rank {self.rank} of {self.world}", expected="0 <= rank < world")
        self.seed: int = self.cfg.seed or 0
        self.sampler: IndexSampler[Any] = self.cfg.sampler.build(len(source), values)
        seeds_globals = self.cfg.workers == 0 or self.cfg.pool == "process"
        fetch = Fetch(source, transform, collate, self.seed, seeds_globals)
        self._pool = Pool(fetch, self.cfg.workers, self.cfg.pool, self.cfg.prefetch)
        self._epoch = self._consumed = self._turn = 0
        self._abandoned = False

    def __iter__(self) -> Iterator[Any]:
        if self._abandoned:
            self._goto(self._epoch + 1, 0)
        self._turn += 1
        return self._pass(self._turn)

    def __len__(self) -> int:
        """Batches of a whole pass on this rank."""
        return len(self._starts(0))

    def state_dict(self) -> dict[str, int]:
        """Three numbers that any number of workers or ranks can go on from."""
        return {"seed": self.seed, "epoch": self._epoch, "consumed": self._consumed}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go to a position; ``iter()`` continues from it.

        Raises ConfigError for a state of another seed, with other keys, or with a position that no epoch of this loader
        has.
        """
        if set(state) != {"seed", "epoch", "consumed"}:
            raise ConfigError(f"a loader's state has keys {sorted(state)}", expected="seed, epoch, consumed")
        if state["seed"] != self.seed:
            raise ConfigError(
                f"the state is of seed {state['seed']}, the loader of seed {self.seed}",
                hint="build the loader with the seed of the run to go on with",
            )
        epoch, consumed = state["epoch"], state["consumed"]
        whole = all(isinstance(number, int) and not isinstance(number, bool) for number in (epoch, consumed))
        if not whole or epoch < 0 or not 0 <= consumed < max(self.sampler.num_samples, 1):
            raise ConfigError(
                f"a loader's state has epoch {epoch!r}, consumed {consumed!r}",
                expected=f"epoch >= 0 and 0 <= consumed < {self.sampler.num_samples}, the positions of an epoch",
            )
        self._goto(epoch, consumed)

    def set_epoch(self, epoch: int) -> None:
        """Go to the start of an epoch; in the middle of that very epoch (after a resume) stay there."""
        if epoch < 0:
            raise ConfigError(f"epoch is {epoch}", expected="an integer >= 0")
        if epoch != self._epoch or self._abandoned:
            self._goto(epoch, 0)

    def close(self) -> None:
        """Stop the workers; iterating again starts new ones."""
        self._turn += 1
        self._pool.close()

    def __repr__(self) -> str:
        return f"build({self.cfg!r}, {type(self.dataset).__name__} of {len(self.dataset)})"

    def _goto(self, epoch: int, consumed: int) -> None:
        self._epoch, self._consumed, self._abandoned = epoch, consumed, False
        self._turn += 1

    def _pass(self, turn: int) -> Iterator[Any]:
        """Batches from the position to the end of the epoch; the position moves on before each batch is handed out."""
        starts = self._starts(self._consumed)
        for job, batch in self._pool.map(self._job(self._epoch, start) for start in starts):
            self._check(turn)
            if job.start == starts[-1]:
                self._epoch, self._consumed = job.epoch + 1, 0
            else:
                self._consumed = job.start + self._step
                self._abandoned = True  # unless the loop comes back for more
            yield on_tensors(batch, Tensor.pin_memory) if self.cfg.pin and torch.cuda.is_available() else batch
            self._check(turn)
            self._abandoned = False
        if not starts:
            self._goto(self._epoch + 1, 0)

    def _check(self, turn: int) -> None:
        if turn != self._turn:
            raise DltoolsError(
                "this pass over the loader is over: a newer iter(), load_state_dict, set_epoch or close() ended it",
                hint="one loop at a time per loader; make a second Loader for a second loop",
            )

    @property
    def _step(self) -> int:
        return self.world * self.cfg.batch_size

    def _starts(self, consumed: int) -> range:
        """First positions of the global batches that are left in an epoch and give this rank something."""
        num_samples = self.sampler.num_samples
        if self.cfg.last == "drop":
            return range(consumed, num_samples - self._step + 1, self._step)
        return range(consumed, num_samples - (self.rank if self.cfg.last == "ragged" else 0), self._step)

    def _job(self, epoch: int, start: int) -> Job:
        """This rank's part of the global batch at a position; past the end stand the epoch's first samples, under
        positions of their own."""
        num_samples = self.sampler.num_samples
        stop = min(start + self._step, num_samples)
        ids = self.sampler.ids(self.seed, epoch, start, stop)
        if self.cfg.last == "pad" and (missing := (start - stop) % self.world):
            first = self.sampler.ids(self.seed, epoch, 0, min(missing, num_samples))
            ids = np.concatenate([ids, np.resize(first, missing)])
        positions = range(start + self.rank, start + len(ids), self.world)
        return Job(epoch, start, positions, ids[self.rank :: self.world].tolist())

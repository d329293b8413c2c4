"""A directory of checkpoints that survives kills, full disks and damage."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from dltools.cfgutils.annotations import NonNegative, NonNegativeInt, PositiveInt
from dltools.cfgutils.component import Component
from dltools.cfgutils.config import Config
from dltools.checkpoints import files
from dltools.checkpoints.card import Card, Ref
from dltools.checkpoints.disk import Checksum
from dltools.checkpoints.parts import Stateful, matched, restore, states_of
from dltools.checkpoints.ranks import exchange, on_first_rank, together
from dltools.checkpoints.reading import Loaded, read_checkpoint, read_ref
from dltools.checkpoints.retention import best_first, expired
from dltools.checkpoints.writing import Draft, clean, remove, write_error
from dltools.errors import CheckpointError, ConfigError
from dltools.metrics.target import Target, TargetCfg

NAME = re.compile(r"step-(\d{8,18})-[0-9a-f]{8}")


class StoreCfg(Config["Store"]):
    """A folder of checkpoints, and which of them stay."""

    root: Path = Path("checkpoints")
    keep_last: PositiveInt = 3
    """How many of the newest stay."""
    keep_best: NonNegativeInt = 1
    """How many of the best by ``target`` stay beside them."""
    target: TargetCfg | None = None
    """What "best" means; without it there is no best."""
    min_free_gb: NonNegative = 1.0
    """Disk space, in 1e9 bytes, that a save leaves free."""
    checksum: Checksum = "crc32"
    """crc32 finds accidents; sha256 what somebody altered, given the manifest's digest."""

    def build(self) -> Store:
        """The store; what killed processes left in its directory is removed."""
        return self.product()(self)


class Store(Component[StoreCfg]):
    """Saves and loads the states of any parts: modules, optimizers, loaders, meters.

    A checkpoint is an immutable directory, ``step-00000420-<8 hex>``, of safetensors and JSON, renamed into place after
    all of it is on the disk: it is whole or not there. Modules are saved under names without those of wrappers,
    optimizers beside a part ``model`` by the names of its parameters. With several ranks each method is called on all
    of them, rank 0 writes its own state, and all raise what it raises.

    >>> import tempfile, torch
    >>> store = Store(root=tempfile.mkdtemp(), min_free_gb=0, target=TargetCfg(expr="val/acc", mode="max"))
    >>> net = torch.nn.Linear(2, 1)
    >>> for step, acc in (10, 0.9), (20, 0.8):
    ...     ref = store.save({"model": net}, step=step, metrics={"val/acc": acc})
    >>> store.load("newest", into={"model": net}).step, store.load("best").step
    (20, 10)

    Raises CheckpointError: a value that cannot be saved, by its path; a write that failed, with the bytes needed and
    free, which costs no other checkpoint; damage, with the file and tensor; states that do not fit the parts to
    restore, of which then none has changed.
    """

    def setup(self) -> None:
        self.root: Path = self.cfg.root.absolute()
        self._target: Target | None = self.cfg.target.build() if self.cfg.target else None
        self._damaged: set[str] = set()
        clean(self.root)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.cfg,)

    def save(
        self,
        parts: Mapping[str, Stateful],
        *,
        step: int,
        metrics: Mapping[str, float] | None = None,
        tags: Sequence[str] = (),
    ) -> Ref:
        """Save the states of the parts; on the disk when it returns.

        ``metrics`` decide which is best; a Report brings their directions along. Non-finite ones are kept, and are
        never best. Of two saves of one step the later is the newer.
        """
        if isinstance(step, bool) or not isinstance(step, int) or not 0 <= step < 10**18:
            raise ConfigError(f"step is {step!r}", expected="an integer >= 0")
        card = Card.of(metrics or {}, tags)
        if self._target is not None:
            best_first(
                [Ref(self.root, step, 0, card)], self._target
            )  # an unknown direction is an error before the write
        states = together(lambda: states_of(parts))
        ref = on_first_rank(lambda: self._publish(Draft(step, states, card, self.cfg.checksum)))
        name = exchange(ref.path.name if ref else None)[0]
        return together(lambda: ref or read_ref(self.root / name))

    def load(self, ref: Ref | str | Path = "newest", into: Mapping[str, Stateful] | None = None) -> Loaded:
        """Read ``"newest"``, ``"best"``, ``"step:420"``, a path or a Ref; restore the parts ``into``, all or none.

        "newest" steps back over damaged ones with a warning; any other that is damaged is an error, and so is an empty
        store.
        """
        found = on_first_rank(lambda: self._read(ref))
        path = exchange(str(found.ref.path) if found else None)[0]
        loaded = together(lambda: found or read_checkpoint(Path(path)))
        if into is not None:
            fitting = together(lambda: matched(loaded.parts, into, str(loaded.ref.path)))
            together(lambda: restore(fitting, into))
        return loaded

    def refs(self) -> list[Ref]:
        """All checkpoints with a valid manifest, the oldest first."""
        found: list[Ref] = []
        for name in self._names():
            with suppress(CheckpointError):
                found.append(read_ref(self.root / name))
        return sorted(found, key=lambda ref: ref.age)

    def newest(self) -> Ref | None:
        """The one with the highest step; None if the store is empty, a CheckpointError if all in it is damaged."""
        refs = self.refs()
        if refs:
            return refs[-1]
        names = self._names()
        return read_ref(self.root / names[-1]) if names else None

    def best(self) -> Ref | None:
        """The best by ``target``; None if no checkpoint has its metrics."""
        if self._target is None:
            raise ConfigError(
                "this store has no target, so that nothing is best", hint="StoreCfg(target=TargetCfg(...))"
            )
        return next(iter(best_first(self.refs(), self._target)), None)

    def _names(self) -> list[str]:
        """Directories that are called like checkpoints."""
        found = [name for name in files.entries(self.root) if NAME.fullmatch(name)]
        return [name for name in found if (self.root / name).is_dir() and not (self.root / name).is_symlink()]

    def _publish(self, draft: Draft) -> Ref:
        """Write it, then remove what is expired; what was found damaged neither counts nor goes."""
        refs = self.refs()
        ref = draft.publish(self.root, 1 + max((ref.serial for ref in refs), default=-1), self.cfg.min_free_gb * 1e9)
        sound = sorted([*(one for one in refs if one.path.name not in self._damaged), ref], key=lambda one: one.age)
        try:
            for old in expired(sound, ref, self.cfg.keep_last, self.cfg.keep_best, self._target):
                remove(old)
        except OSError as error:
            raise write_error(ref.path, error, 0) from error
        return ref

    def _read(self, ref: Ref | str | Path) -> Loaded:
        if ref == "newest":
            return self._read_newest()
        if ref == "best":
            best = self.best()
            if best is None:
                raise CheckpointError(f"no checkpoint of {self.root} has the metrics of the target")
            return read_checkpoint(best.path)
        return read_checkpoint(self._find(ref))

    def _find(self, ref: Ref | str | Path) -> Path:
        if isinstance(ref, str) and ref.startswith("step:"):
            refs = self.refs()
            found = [one.path for one in refs if str(one.step) == ref[5:]]
            if not found:
                steps = ", ".join(str(one.step) for one in refs)
                raise CheckpointError(
                    f"{self.root} has no checkpoint {ref!r}", expected=f"one of the steps {steps or '(none)'}"
                )
            return found[-1]
        path = Path(ref)
        return path if path.exists() else self.root / path

    def _read_newest(self) -> Loaded:
        skipped: list[str] = []
        for name in sorted(self._names(), key=self._age, reverse=True):
            try:
                loaded = read_checkpoint(self.root / name)
            except CheckpointError as error:
                if (self.root / name).exists():  # else another process has removed it
                    self._damaged.add(name)
                    skipped.append(str(error))
                continue
            if skipped:
                why = f"what is newer cannot be read: {'; '.join(skipped)}"
                warnings.warn(f"{self.root}: stepped back to step {loaded.step}; {why}", UserWarning, stacklevel=2)
            return loaded
        if skipped:
            raise CheckpointError(f"{self.root} has no checkpoint that can be read: {'; '.join(skipped)}")
        raise CheckpointError(f"{self.root} has no checkpoint")

    def _age(self, name: str) -> tuple[float, float, str]:
        """Where a checkpoint stands by age; one without a manifest by its name, as the newest of its step."""
        try:
            return read_ref(self.root / name).age
        except CheckpointError:
            return float(name.split("-")[1]), math.inf, name

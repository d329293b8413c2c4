"""Writers that reach no file: records in a list, and nothing at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from dltools.writers.base import WriterCfg
from dltools.writers.records import ALL_KINDS, Params, Record
from dltools.writers.sink import Sink


class MemoryWriterCfg(WriterCfg["MemoryWriter"]):
    pass


class MemoryWriter(Sink[MemoryWriterCfg]):
    """Keeps every record in ``records``, for tests and notebooks.

    >>> writer = MemoryWriter()
    >>> writer.scalars({"loss": 0.5}, step=1)
    >>> writer.records[0].values
    {'loss': 0.5}
    """

    accepts: ClassVar[frozenset[type[Record]]] = ALL_KINDS
    threaded: ClassVar[bool] = False

    def setup(self) -> None:
        self.records: list[Record] = []

    def on_write(self, batch: Sequence[Record]) -> None:
        self.records.extend(batch)

    def on_rewind(self, step: int, axis: str) -> None:
        """Hyperparameters belong to the whole run."""
        self.records = [r for r in self.records if isinstance(r, Params) or r.axis != axis or r.step < step]


class NullWriterCfg(WriterCfg["NullWriter"]):
    pass


class NullWriter(Sink[NullWriterCfg]):
    """Checks what it is given and keeps nothing.

    >>> NullWriter().scalars({"loss": 0.5}, step=-1)
    Traceback (most recent call last):
    dltools.errors.ConfigError: step is -1. Expected an int from 0 to 2**63 - 1.
    """

    accepts: ClassVar[frozenset[type[Record]]] = frozenset()
    threaded: ClassVar[bool] = False

    def on_write(self, batch: Sequence[Record]) -> None:
        """Nothing is accepted, so nothing comes."""

"""A writer's backend of one's own: rows of numbers as CSV, in a thread of its own behind the journal.

python examples/extend/sink.py runs/csv 0 3     # again with 2 5: goes on from step 2
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from pathlib import Path

from dltools.writers import MultiWriter, Record, RunInfo, Scalars, Sink, WriterCfg


class CsvWriterCfg(WriterCfg["CsvWriter"]):
    """Options of its own would be fields here."""


class CsvWriter(Sink[CsvWriterCfg]):
    def on_open(self, run: RunInfo) -> None:
        self._path = run.dir / "scalars.csv"
        self.on_rewind(0, "step")

    def on_rewind(self, step: int, axis: str) -> None:
        self._path.write_text("axis,step,name,value\n")
        self.resume_at(0)  # the whole table anew, from a journal that has forgotten already

    def on_write(self, batch: Sequence[Record]) -> None:
        rows = [(r.axis, r.step, *item) for r in batch if isinstance(r, Scalars) for item in r.values.items()]
        with self._path.open("a", newline="") as file:
            csv.writer(file).writerows(rows)


if __name__ == "__main__":
    folder, start, stop = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    with MultiWriter(dir=folder, writers={"csv": CsvWriterCfg()}) as writer:
        writer.rewind(start)  # what an earlier process has logged beyond is forgotten
        for step in range(start, stop):
            writer.scalars({"loss": 1 / (1 + step)}, step)
    for name, delivery in writer.health().items():
        print(f"{name}: {delivery.state}, {delivery.dropped} dropped")
    print(Path(folder, "scalars.csv").read_text(), end="")

from __future__ import annotations

import pickle
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dltools.errors import ConfigError, DltoolsError, ShapeError
from dltools.writers import lifecycle
from dltools.writers.base import Writer
from dltools.writers.journal import read_journal
from dltools.writers.jsonl import JsonlWriter
from dltools.writers.memory import MemoryWriter, MemoryWriterCfg
from dltools.writers.multi import MultiWriter
from dltools.writers.records import Artifact, Hist, Image, Params, Record, Scalars, Text
from tests.writers.helpers import steps, values


@pytest.mark.parametrize(
    ("row", "step", "axis", "error", "named"),
    [
        ({"a": 1, "b": "2"}, 0, "step", ConfigError, "'b'"),
        ({"a": 1, "b": None}, 0, "step", ConfigError, "'b'"),
        ({"a": 1, "b": 1j}, 0, "step", ConfigError, "'b'"),
        ({"a": 1, "b": torch.zeros(2)}, 0, "step", ShapeError, "'b'"),
        ({"a": 1, "b": np.zeros(2)}, 0, "step", ShapeError, "'b'"),
        ({"a": 1, "": 2}, 0, "step", ConfigError, "''"),
        ({"a": 1, "time": 2}, 0, "step", ConfigError, "'time'"),
        ({"a": 1, "b\n": 2}, 0, "step", ConfigError, "b.n"),
        ({"a": 1, 3: 2}, 0, "step", ConfigError, "3"),
        ({"a": 1}, -1, "step", ConfigError, "step is -1"),
        ({"a": 1}, 1.0, "step", ConfigError, r"step is 1\.0"),
        ({"a": 1}, 0, "", ConfigError, "axis is ''"),
    ],
)  # fmt: skip
def test_a_bad_row_is_refused_and_nothing_of_it_written(
    tmp_path: Path, row: Any, step: Any, axis: str, error: type[Exception], named: str
) -> None:
    with MultiWriter(dir=str(tmp_path / "run"), writers={"m": MemoryWriterCfg()}) as writer:
        with pytest.raises(error, match=named):
            writer.scalars(row, step, axis=axis)
        assert not (tmp_path / "run").exists()
        writer.scalars({"a": 5}, 0)
    memory = writer.writers["m"]
    assert isinstance(memory, MemoryWriter)
    assert values(memory.records) == [{"a": 5}]
    assert len(read_journal(tmp_path / "run")) == 1


REFUSED = {
    "image of four dimensions": (ShapeError, lambda w: w.image("x", np.zeros((1, 2, 2, 3)), 0)),
    "image without pixels": (ShapeError, lambda w: w.image("x", np.zeros((0, 4, 3)), 0)),
    "image name": (ConfigError, lambda w: w.image("", np.zeros((2, 2)), 0)),
    "image caption": (ConfigError, lambda w: w.image("x", np.zeros((2, 2)), 0, caption="\ud800")),
    "histogram of texts": (ShapeError, lambda w: w.histogram("h", np.array(["a"]), 0)),
    "histogram without bins": (ConfigError, lambda w: w.histogram("h", np.zeros(3), 0, bins=0)),
    "text": (ConfigError, lambda w: w.text("t", 3, 0)),
    "hparams": (ConfigError, lambda w: w.hparams(3)),
    "hparams metric": (ConfigError, lambda w: w.hparams({}, [""])),
    "artifact": (ConfigError, lambda w: w.artifact("/nowhere/at/all")),
    "rewind": (ConfigError, lambda w: w.rewind(-1)),
    "state": (ConfigError, lambda w: w.load_state_dict({"next": {"step": -1}, "runs": {}})),
}


@pytest.mark.parametrize("what", REFUSED)
def test_other_bad_calls_are_refused(what: str) -> None:
    error, call = REFUSED[what]
    writer = MemoryWriter()
    with pytest.raises(error):
        call(writer)
    assert writer.records == []


def test_every_method_makes_its_record(tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    folder.mkdir()
    writer = MemoryWriter()
    writer.scalars({"a": True, "b": np.float32(0.5)}, np.int64(3), axis="epoch")
    writer.scalars({}, 6)
    writer.image("val/pred", torch.ones(3, 2, 4), 1, caption="white")
    writer.histogram("h", np.array([0.0, 1.0]), 2, bins=2)
    writer.text("t", "x", 4)
    writer.hparams({"optim": {"lr": 0.1}}, ["val/loss"])
    writer.artifact(folder, kind="checkpoint")
    writer.artifact(folder, "other", step=2)
    row, empty, image, hist, text, params, artifact, other = writer.records
    assert isinstance(row, Scalars)
    assert (row.step, row.axis, row.values) == (3, "epoch", {"a": 1, "b": 0.5})
    assert empty == Scalars(6, "step", empty.time, {})
    assert isinstance(image, Image)
    assert image.pixels is not None
    assert (image.pixels.shape, image.pixels.min(), image.caption) == ((2, 4, 3), 255, "white")
    assert hist == Hist(2, "step", hist.time, "h", (0.0, 0.5, 1.0), (1, 1), 1.0, 1.0, 0.0, 1.0)
    assert text == Text(4, "step", text.time, "t", "x")
    assert params == Params(0, "step", params.time, {"optim.lr": 0.1}, ("val/loss",))
    assert artifact == Artifact(6, "step", artifact.time, "weights", str(folder), "checkpoint")
    assert (other.step, writer.state_dict()) == (2, {"next": {"epoch": 4, "step": 7}, "runs": {}})


def test_a_figure_is_drawn_at_the_call() -> None:
    from dltools.visualizers import curves

    figure, writer = curves({"a": ([0, 1], [1, 0])}), MemoryWriter()
    canvas = figure.canvas
    writer.figure("f", figure, 1)
    (record,) = writer.records
    assert isinstance(record, Image)
    assert record.pixels is not None
    assert record.pixels.shape == (480, 768, 3)
    assert record.pixels.min() < 100
    assert figure.canvas is canvas


def test_an_image_is_what_it_was_at_the_call() -> None:
    pixels, writer = np.zeros((2, 2), np.uint8), MemoryWriter()
    writer.image("x", pixels, 0)
    pixels[:] = 9
    (record,) = writer.records
    assert isinstance(record, Image)
    assert record.pixels is not None
    assert not record.pixels.any()


def test_any_thread_may_call_and_rows_are_never_torn(tmp_path: Path) -> None:
    writer = MultiWriter(dir=str(tmp_path), writers={"m": MemoryWriterCfg()})

    def log(who: int) -> None:
        for step in range(100):
            writer.scalars({f"k{key}": who * 1000 + step for key in range(5)}, step, axis=f"thread {who}")

    threads = [threading.Thread(target=log, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    memory = writer.writers["m"]
    assert isinstance(memory, MemoryWriter)
    assert memory.records == read_journal(tmp_path)
    for who in range(4):
        mine = [record for record in memory.records if record.axis == f"thread {who}"]
        assert steps(mine) == list(range(100))
        assert [set(row.values()) for row in values(mine)] == [{who * 1000 + step} for step in range(100)]


def test_an_opened_writer_cannot_be_pickled(tmp_path: Path) -> None:
    for writer in (MultiWriter(dir=str(tmp_path)), JsonlWriter(dir=str(tmp_path / "lone")), MemoryWriter()):
        copy = pickle.loads(pickle.dumps(writer))
        assert copy.cfg == writer.cfg
        writer.scalars({"a": 1}, 0)
        with pytest.raises(TypeError, match="send its config"):
            pickle.dumps(writer)
        writer.close()


def test_closed_is_closed(tmp_path: Path) -> None:
    writer = JsonlWriter(dir=str(tmp_path))
    writer.scalars({"a": 1}, 0)
    first = writer.close()
    assert writer.close() == writer.health() == first
    assert first["JsonlWriter"].state == "closed"
    writer.flush()
    with pytest.raises(DltoolsError, match="is closed"):
        writer.scalars({"a": 2}, 1)
    unused = MemoryWriter()
    assert unused.close()["MemoryWriter"].state == "closed"


@pytest.mark.parametrize(("ranks", "rank", "files"), [
    ("zero", 0, ["metrics.jsonl"]), ("zero", 1, []), ("all", 1, ["metrics.rank1.jsonl"]),
])  # fmt: skip
def test_ranks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ranks: Any, rank: int, files: list[str]) -> None:
    monkeypatch.setattr(lifecycle, "rank", lambda: rank)
    folder = tmp_path / "run"
    with MultiWriter(dir=str(folder), ranks=ranks, writers={"m": MemoryWriterCfg()}) as writer:
        writer.scalars({"a": 1}, 0)
        writer.scalars({"a": torch.tensor(2.0)}, 1)
        writer.rewind(1)
    assert [file.name for file in folder.glob("metrics*.jsonl") if "cut" not in file.name] == files
    assert [row["a"] for row in values(read_journal(folder) if files else [])] == ([1.0] if files else [])
    memory = writer.writers["m"]
    assert isinstance(memory, MemoryWriter)
    assert len(memory.records) == (rank == 0)
    if files and rank:
        assert '"_rank":1' in (folder / files[0]).read_text()


def test_a_rank_that_changes_is_an_error_at_the_flush(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = JsonlWriter(dir=str(tmp_path))
    writer.scalars({"a": 1}, 0)
    monkeypatch.setattr(lifecycle, "rank", lambda: 1)
    with pytest.raises(DltoolsError, match="opened on rank 0 and is now on rank 1"):
        writer.flush()
    writer.close()


def test_a_state_rewinds_each_axis_to_where_it_was() -> None:
    writer = MemoryWriter()
    for step in range(6):
        writer.scalars({"a": step}, step)
        writer.scalars({"b": step}, step, axis="epoch")
        writer.scalars({"c": step}, step, axis="new")
    writer.hparams({"lr": 1})
    writer.load_state_dict({"next": {"step": 4, "epoch": 2}, "runs": {}})
    left = [(record.axis, record.step) for record in writer.records if isinstance(record, Scalars)]
    assert sorted(left) == [*(("epoch", step) for step in range(2)), *(("step", step) for step in range(4))]
    assert sum(isinstance(record, Params) for record in writer.records) == 1
    assert writer.state_dict()["next"] == {"step": 4, "epoch": 2, "new": 0}


def test_the_status_of_the_end() -> None:
    def run(writer: Writer[Any], error: type[BaseException] | None) -> None:
        with writer:
            writer.scalars({"a": 1}, 0)
            if error is not None:
                raise error

    calm, upset = MemoryWriter(), MemoryWriter()
    statuses: list[tuple[int, str]] = []
    for number, writer in enumerate((calm, upset)):
        writer.on_close = lambda status, number=number: statuses.append((number, status))  # type: ignore[method-assign]
    run(calm, None)
    with pytest.raises(KeyboardInterrupt):
        run(upset, KeyboardInterrupt)
    assert statuses == [(0, "ok"), (1, "failed")]


def test_a_value_is_detached(tmp_path: Path) -> None:
    value: Tensor = torch.tensor(2.0, requires_grad=True) * 3
    writer = MemoryWriter()
    writer.scalars({"loss": value}, 0)
    record: Record = writer.records[0]
    assert isinstance(record, Scalars)
    assert type(record.values["loss"]) is float
    value.backward()

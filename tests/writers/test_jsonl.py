from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dltools.errors import ConfigError, DltoolsError
from dltools.writers import lifecycle, logbook, pictures
from dltools.writers.journal import read_journal
from dltools.writers.jsonl import JsonlWriter
from dltools.writers.memory import MemoryWriter, MemoryWriterCfg
from dltools.writers.multi import MultiWriter
from dltools.writers.pictures import safe
from dltools.writers.records import Artifact, Image, Params
from tests.writers.helpers import steps


def test_a_row_is_in_the_file_when_the_call_returns(tmp_path: Path) -> None:
    with JsonlWriter(dir=str(tmp_path), flush_secs=1e6) as writer:
        for step in range(3):
            writer.scalars({"a": step}, step)
            assert steps(read_journal(tmp_path)) == list(range(step + 1))
    assert writer.health()["JsonlWriter"].written == 3


@pytest.mark.parametrize("name", ["", "a/b", "..", "a b"])
def test_names_of_the_file(name: str) -> None:
    with pytest.raises(ConfigError, match="plain file name"):
        JsonlWriter(name=name)


def test_the_same_hyperparameters_are_left_out_everywhere(tmp_path: Path) -> None:
    for lr in (0.1, 0.1, 0.2):
        with MultiWriter(dir=str(tmp_path), writers={"m": MemoryWriterCfg()}) as writer:
            for _ in range(2):
                writer.hparams({"lr": lr}, ["a"])
        memory = writer.writers["m"]
        assert isinstance(memory, MemoryWriter)
        assert memory.health()["m"].pending == 0
    assert [r.params for r in read_journal(tmp_path) if isinstance(r, Params)] == [{"lr": 0.1}, {"lr": 0.2}]


def test_an_artifact_in_the_folder_moves_with_it(tmp_path: Path) -> None:
    inside, outside = tmp_path / "run" / "best.pt", tmp_path / "data.csv"
    inside.parent.mkdir()
    for file in (inside, outside):
        file.touch()
    with JsonlWriter(dir=str(tmp_path / "run")) as writer:
        writer.artifact(inside)
        writer.artifact(outside, "data", kind="dataset")
    first, second = read_journal(tmp_path / "run")
    assert isinstance(first, Artifact)
    assert isinstance(second, Artifact)
    assert (first.name, first.path, first.kind) == ("best.pt", "best.pt", "file")
    assert (second.name, second.path, second.kind) == ("data", str(outside), "dataset")


def test_one_picture_is_one_file(tmp_path: Path) -> None:
    with JsonlWriter(dir=str(tmp_path)) as writer:
        writer.image("val/pred", np.zeros((8, 8, 3), np.uint8), 3)
    assert [file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*.png")] == [
        "images/val/pred/00000003.png"
    ]
    (row,) = map(json.loads, (tmp_path / "metrics.jsonl").read_text().splitlines())
    assert (row["_kind"], row["name"], row["file"]) == ("image", "val/pred", "images/val/pred/00000003.png")


def test_names_that_differ_in_case_have_files_of_their_own_in_every_process(tmp_path: Path) -> None:
    for step in range(2):
        with JsonlWriter(dir=str(tmp_path)) as writer:
            for name in ("a", "A") if step else ("A", "a"):
                writer.image(name, np.zeros((2, 2)), step)
    records = [record for record in read_journal(tmp_path) if isinstance(record, Image)]
    files = {(record.name, str(record.file)) for record in records}
    assert len({file.lower() for _, file in files}) == len(files) == 4
    assert len({(name, Path(file).parent) for name, file in files}) == 2
    assert all((tmp_path / file).is_file() for _, file in files)


@pytest.mark.parametrize("name", ["../../up", "/root", "a//b", ".", "..", "x" * 300, "ü" * 100, "con:|?*", "a/../b"])
def test_files_stay_in_the_folder(tmp_path: Path, name: str) -> None:
    with JsonlWriter(dir=str(tmp_path / "run")) as writer:
        writer.image(name, np.zeros((2, 2)), 0, axis="../e")
    (file,) = tmp_path.rglob("*.png")
    assert file.is_relative_to(tmp_path / "run" / "images")
    assert safe(name) != safe(f"{name}x")
    assert all(len(part.encode()) <= 200 for part in file.parts)


def test_pictures_of_ranks_have_folders_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for rank in range(2):
        monkeypatch.setattr(lifecycle, "rank", lambda rank=rank: rank)
        with JsonlWriter(dir=str(tmp_path), ranks="all") as writer:
            writer.image("x", np.zeros((2, 2)), 0)
    files = [record.file for record in read_journal(tmp_path) if isinstance(record, Image)]
    assert files == ["images.rank0/x/00000000.png", "images.rank1/x/00000000.png"]
    assert all((tmp_path / str(file)).is_file() for file in files)


def test_pictures_that_are_not_kept_have_no_file(tmp_path: Path) -> None:
    with JsonlWriter(dir=str(tmp_path), images="none") as writer:
        writer.image("x", np.zeros((2, 2)), 0)
    (record,) = read_journal(tmp_path)
    assert isinstance(record, Image)
    assert record.file is None
    assert not (tmp_path / "images").exists()


def test_more_pictures_than_may_wait_are_written_by_the_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MAX_BYTES", 100)
    with JsonlWriter(dir=str(tmp_path), flush_secs=1e6) as writer:
        writer.image("small", np.zeros((9, 9)), 0)
        assert not [*tmp_path.rglob("*.png")]
        writer.image("large", np.zeros((90, 90)), 0)
        assert len([*tmp_path.rglob("*.png")]) == 2


class Full:
    """Stands for a disk that takes nothing until ``free``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.free, write = False, logbook.os.write

        def refuse(fd: int, data: bytes) -> int:
            if not self.free:
                raise OSError(28, "No space left on device")
            return write(fd, data)

        monkeypatch.setattr(logbook.os, "write", refuse)


def test_an_unwritable_journal_warns_once_and_catches_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Full(monkeypatch)
    writer = MultiWriter(dir=str(tmp_path), writers={"m": MemoryWriterCfg()})
    with pytest.warns(RuntimeWarning, match="kept in memory: .*No space left"):
        writer.scalars({"a": 0}, 0)
    for step in range(1, 5):
        writer.scalars({"a": step}, step)
    writer.flush()
    memory = writer.writers["m"]
    assert isinstance(memory, MemoryWriter)
    assert steps(memory.records) == list(range(5))
    delivery = writer.health()["journal"]
    assert (delivery.state, delivery.written, delivery.pending) == ("degraded", 0, 5)
    assert "No space left" in str(delivery.error)
    disk.free = True
    writer.flush()
    assert steps(read_journal(tmp_path)) == list(range(5))
    delivery = writer.close()["journal"]
    assert (delivery.state, delivery.written, delivery.pending, delivery.error) == ("closed", 5, 0, None)


def test_an_unwritable_journal_may_raise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Full(monkeypatch)
    writer = JsonlWriter(dir=str(tmp_path), on_error="raise")
    with pytest.raises(DltoolsError, match="cannot be written"):
        writer.scalars({"a": 0}, 0)
    disk.free = True
    writer.scalars({"a": 1}, 1)
    writer.close()
    assert steps(read_journal(tmp_path)) == [0, 1]


def test_a_folder_that_cannot_be_made_keeps_rows_until_it_can(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file is in the way")
    writer = MultiWriter(dir=str(tmp_path / "run"), writers={"m": MemoryWriterCfg()})
    with pytest.warns(RuntimeWarning, match="cannot be written"):
        writer.scalars({"a": 0}, 0)
    (tmp_path / "run").unlink()
    writer.scalars({"a": 1}, 1)
    writer.close()
    memory = writer.writers["m"]
    assert isinstance(memory, MemoryWriter)
    assert steps(memory.records) == steps(read_journal(tmp_path / "run")) == [0, 1]

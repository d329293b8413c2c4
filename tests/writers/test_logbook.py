from __future__ import annotations

import os
from pathlib import Path

import pytest

from dltools.errors import DltoolsError
from dltools.writers import logbook as module
from dltools.writers.journal import encode, read_journal
from dltools.writers.logbook import Logbook
from dltools.writers.records import Params, Record, Scalars
from tests.writers.helpers import journal, steps


def row(step: int, axis: str = "step") -> Scalars:
    return Scalars(step, axis, 0.5, {"a": step / 2})


def test_each_record_is_in_the_file_at_once_and_span_says_where(tmp_path: Path) -> None:
    book = Logbook(tmp_path / "deep" / "metrics.jsonl")
    for step in range(3):
        book.append(row(step))
        data = book.path.read_bytes()
        assert data[slice(*book.span)] == encode(row(step))
        assert len(data) == book.end
    assert book.written == 3
    book.close()


def test_opening_cuts_a_torn_last_line_and_knows_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    whole = encode(row(4)) + encode(row(2, "epoch"))
    for torn in (b'{"step":7,"ti', b"\x00" * 20, encode(row(9))[:-1]):
        path.write_bytes(whole + torn)
        book = Logbook(path)
        assert book.next == {"step": 5, "epoch": 3}
        book.append(row(5))
        book.close()
        assert path.read_bytes() == whole + encode(row(5))


def test_rewind_moves_lines_to_a_numbered_file(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    book = Logbook(path)
    params = Params(0, "step", 0.0, {"lr": 0.1})
    records: list[Record] = [params, row(0), row(5), row(1, "epoch"), row(3), row(7)]
    for record in records:
        book.append(record)
    assert book.rewind({"step": 4})
    assert path.read_bytes() == b"".join(map(encode, [params, row(0), row(1, "epoch"), row(3)]))
    assert (tmp_path / "metrics.cut-1.jsonl").read_bytes() == encode(row(5)) + encode(row(7))
    assert (book.end, book.cuts, book.next) == (path.stat().st_size, 1, {"step": 4, "epoch": 2})
    assert not book.rewind({"step": 4})
    book.append(row(4))
    assert book.rewind({"step": 0, "epoch": 0})
    assert read_journal(path) == [params]
    assert book.cuts == 2
    book.close()
    assert Logbook(path).cuts == 2


class Disk:
    """Stands for ``os.write``: raises, or writes so many bytes only."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.allow: int | None = None
        self._write = os.write
        monkeypatch.setattr(module.os, "write", self)

    def __call__(self, fd: int, data: bytes) -> int:
        if self.allow == 0:
            raise OSError(28, "No space left on device")
        return self._write(fd, data if self.allow is None else data[: self.allow])


@pytest.mark.parametrize("allow", [0, 1, 10])
def test_an_unwritable_journal_keeps_its_rows_and_joins_no_half_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allow: int
) -> None:
    disk = Disk(monkeypatch)
    book = Logbook(tmp_path / "metrics.jsonl")
    book.append(row(0))
    disk.allow = allow
    for step in range(1, 5):
        book.append(row(step))
        book.sync()
    assert (book.pending, book.written) == (4, 1)
    assert book.error is not None
    with pytest.raises(DltoolsError, match="cannot be rewound"):
        book.rewind({"step": 0})
    disk.allow = None
    book.append(row(5))
    book.sync()
    assert (book.pending, book.written, book.error) == (0, 6, None)
    assert steps(read_journal(tmp_path)) == list(range(6))
    assert book.end == book.path.stat().st_size
    book.close()


def test_what_cannot_be_kept_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch)
    book = Logbook(tmp_path / "metrics.jsonl", max_pending=2)
    disk.allow = 0
    for step in range(5):
        book.append(row(step))
    assert (book.pending, book.dropped) == (2, 3)
    disk.allow = None
    book.sync()
    assert journal(tmp_path) == {"a": [(0, 0.0), (1, 0.5)]}
    book.close()


def test_a_folder_that_cannot_be_made_yet(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file is in the way")
    book = Logbook(tmp_path / "run" / "metrics.jsonl")
    assert not book.is_open
    assert not book.rewind({"step": 0})
    book.append(row(0))
    book.sync()
    assert book.pending == 1
    (tmp_path / "run").unlink()
    book.sync()
    assert steps(read_journal(tmp_path / "run")) == [0]
    book.close()


def test_fsync_is_asked_for_when_due(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    monkeypatch.setattr(module.os, "fsync", calls.append)
    book = Logbook(tmp_path / "metrics.jsonl", fsync_secs=0.0)
    book.append(row(0))
    book.sync()
    assert len(calls) == 1
    book.close()
    plain = Logbook(tmp_path / "other.jsonl")
    plain.sync()
    plain.close()
    assert len(calls) == 2


def test_read_gives_whole_lines_within_limits(tmp_path: Path) -> None:
    book = Logbook(tmp_path / "metrics.jsonl")
    spans = []
    for step in range(5):
        book.append(row(step))
        spans.append(book.span)
    records, end = book.read(spans[1][0], spans[3][1], limit=2)
    assert [(record.step, begin) for record, begin in records] == [(1, spans[1][0]), (2, spans[2][0])]
    assert end == spans[2][1]
    assert book.read(end, spans[4][1] - 1)[1] == spans[3][1]
    assert book.read(book.end, book.end) == ([], book.end)
    book.close()

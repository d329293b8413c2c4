from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dltools.writers import feed as module
from dltools.writers.feed import Cut, Feed
from dltools.writers.logbook import Logbook
from dltools.writers.records import Image, Record, Scalars, Text
from tests.writers.helpers import steps

ONLY_SCALARS: frozenset[type[Record]] = frozenset({Scalars})


def row(step: int) -> Scalars:
    return Scalars(step, "step", 0.5, {"a": 1.0})


def taken(feed: Feed) -> list[int | str]:
    """All that is there: steps, and "cut" for a rewind."""
    found: list[int | str] = []
    while (batch := feed.take()) is not None:
        found += ["cut"] if isinstance(batch, Cut) else steps(batch)
        feed.confirm()
    return found


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Logbook]:
    found = Logbook(tmp_path / "metrics.jsonl")
    yield found
    found.close()


def test_the_same_batch_until_it_is_confirmed() -> None:
    feed = Feed(ONLY_SCALARS, None, 10)
    for step in range(3):
        feed.offer(row(step))
    batch = feed.take()
    feed.offer(row(3))
    assert feed.take() is batch
    assert (feed.pending, feed.written) == (4, 0)
    feed.confirm()
    assert (feed.pending, feed.written) == (1, 3)
    assert taken(feed) == [3]
    assert feed.take() is None


def test_a_rewind_stands_between_what_came_before_and_after_and_is_never_dropped() -> None:
    feed = Feed(ONLY_SCALARS, None, 3)
    for step in range(2):
        feed.offer(row(step))
    feed.offer_cut({"step": 1})
    for step in range(1, 6):
        feed.offer(row(step))
    assert feed.dropped == 5
    assert taken(feed) == ["cut", 4, 5]
    feed.offer(row(6))
    feed.offer_cut({"step": 0})
    feed.offer(row(0))
    assert taken(feed) == [6, "cut", 0]
    assert feed.pending == 0


def test_kinds_that_are_not_wanted_take_no_room(book: Logbook) -> None:
    for journal in (None, book):
        feed = Feed(ONLY_SCALARS, journal, 3)
        for step in range(100):
            text = Text(step, "step", 0.5, "t", "x")
            if journal is not None:
                journal.append(text)
            feed.offer(text)
        assert (feed.pending, len(feed._queue)) == (0, 3 if journal else 0)
        if journal is not None:
            journal.append(row(7))
        feed.offer(row(7))
        assert taken(feed) == [7]
        assert (feed.pending, feed.dropped) == (0, 0)


def test_a_row_that_the_journal_had_to_drop_is_delivered_all_the_same(book: Logbook) -> None:
    feed = Feed(ONLY_SCALARS, book, 10)
    book.append(row(0))
    feed.offer(row(0))
    book.span = (book.end, book.end)
    feed.offer(row(1))
    book.append(row(2))
    feed.offer(row(2))
    assert taken(feed) == [0, 1, 2]


def test_it_may_start_anywhere_in_the_journal(book: Logbook) -> None:
    starts = []
    for step in range(6):
        book.append(row(step))
        starts.append(book.span[0])
    feed = Feed(ONLY_SCALARS, book, 10)
    feed.resume_at(starts[2])
    book.append(row(6))
    feed.offer(row(6))
    assert taken(feed) == [2, 3, 4, 5, 6]
    assert (feed.written, feed.pending, feed.position) == (5, 0, book.end)
    feed.resume_at(0)
    assert taken(feed) == [0, 1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("journaled", [False, True])
def test_two_threads_lose_nothing_but_what_is_counted(book: Logbook, journaled: bool) -> None:
    feed, found, done = Feed(ONLY_SCALARS, book if journaled else None, 5), [], threading.Event()

    def take() -> None:
        while not done.is_set() or feed.pending:
            found.extend(taken(feed))

    thread = threading.Thread(target=take)
    thread.start()
    for step in range(3000):
        if journaled:
            book.append(row(step))
        feed.offer(row(step))
    done.set()
    thread.join(timeout=30)
    assert not thread.is_alive()
    assert found == sorted(set(found))
    assert len(found) == feed.written == 3000 - feed.dropped
    if journaled:
        assert feed.dropped == 0


def test_one_picture_beyond_the_limit_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 100)
    feed = Feed(frozenset({Image}), None, 10)
    feed.offer(Image(0, "step", 0.5, "x", np.zeros((20, 20, 1), np.uint8)))
    assert (feed.dropped, feed.pending, feed.take()) == (1, 0, None)

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from dltools.errors import DltoolsError
from dltools.writers import feed, worker
from dltools.writers.memory import MemoryWriter, NullWriter
from dltools.writers.multi import MultiWriter
from dltools.writers.records import Image
from tests.writers.helpers import FaultyWriter, FaultyWriterCfg, steps, until


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses between retries that a test can wait for."""
    monkeypatch.setattr(worker, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(worker, "LONGEST_PAUSE", 0.004)
    monkeypatch.setattr(worker, "CLOSING_PAUSE", 0.002)


def log(writer: FaultyWriter, n: int, start: int = 0) -> None:
    """Steps that reach the backend when all of them are logged, unless the test keeps its gate shut."""
    is_open = writer.gate.is_set()
    writer.gate.clear()
    for step in range(start, start + n):
        writer.scalars({"a": step}, step)
    if is_open:
        writer.gate.set()


def test_hooks_run_in_order_in_one_thread_of_their_own() -> None:
    threads = set()

    class Spy(FaultyWriter):
        def on_close(self, status: str) -> None:
            threads.add(threading.current_thread())
            super().on_close(status)

    writer = FaultyWriter()
    log(writer, 3)
    writer.flush()
    assert steps(writer.taken) == [0, 1, 2]
    log(writer, 1, 3)
    writer.close()
    assert (writer.calls[0], writer.calls[-1]) == ("open", "close ok")
    assert writer.calls.index("write") < writer.calls.index("flush")
    assert steps(writer.taken) == [0, 1, 2, 3]
    assert writer.health()["FaultyWriter"].state == "closed"
    assert not threads


def test_it_is_delivered_without_a_flush() -> None:
    writer = FaultyWriter(flush_secs=0.01)
    log(writer, 2)
    assert until(lambda: steps(writer.taken) == [0, 1])
    writer.close()


def test_a_failing_backend_warns_once_and_gets_the_same_batch_again(quick: None) -> None:
    writer = FaultyWriter(fail=3, flush_secs=0.001)
    log(writer, 2)
    assert until(lambda: steps(writer.taken) == [0, 1])
    with pytest.warns(
        RuntimeWarning, match=r"'FaultyWriter' failed and will be tried again: ConnectionError"
    ) as caught:
        log(writer, 1, 2)
    assert len(caught) == 1
    writer.close()
    assert steps(writer.taken) == [0, 1, 2]
    delivery = writer.health()["FaultyWriter"]
    assert (delivery.state, delivery.written, delivery.pending, delivery.dropped) == ("closed", 3, 0, 0)
    assert "nobody answers" in str(delivery.error)


def test_close_tries_again_before_it_gives_up(quick: None) -> None:
    writer = FaultyWriter(fail=5, flush_secs=100)
    log(writer, 2)
    with pytest.warns(RuntimeWarning):
        delivery = writer.close()["FaultyWriter"]
    assert (delivery.state, delivery.written) == ("closed", 2)


def test_after_eight_failures_it_is_given_up(quick: None) -> None:
    writer = FaultyWriter(fail=1000, flush_secs=0.001)
    log(writer, 3)
    assert until(lambda: writer.health()["FaultyWriter"].state == "failed")
    assert writer.failures == 8
    with pytest.warns(RuntimeWarning) as caught:
        log(writer, 1, 3)
    assert [str(w.message).partition(":")[0] for w in caught] == [
        "writer 'FaultyWriter' failed and will be tried again",
        "writer 'FaultyWriter' is given up after 8 failures",
    ]
    delivery = writer.close()["FaultyWriter"]
    assert (delivery.state, delivery.pending, delivery.dropped) == ("failed", 3, 1)
    assert writer.failures == 8


def test_a_flush_does_not_wait_for_a_failing_backend_nor_use_up_its_retries() -> None:
    writer = FaultyWriter(fail=1000)
    log(writer, 1)
    start = time.monotonic()
    with pytest.warns(RuntimeWarning, match="tried again"):
        writer.flush()
    for _ in range(20):
        writer.flush()
    assert time.monotonic() - start < 10
    assert writer.health()["FaultyWriter"].state == "degraded"
    delivery = writer.close(timeout=0.1)["FaultyWriter"]
    assert (delivery.state, delivery.pending) == ("degraded", 1)


def test_on_error_raise_raises_at_the_next_call() -> None:
    writer = FaultyWriter(fail=1000, on_error="raise", flush_secs=0.001)
    log(writer, 1)
    assert until(lambda: bool(writer.notices))
    with pytest.raises(DltoolsError, match="'FaultyWriter' failed: ConnectionError") as caught:
        log(writer, 1, 1)
    assert isinstance(caught.value.__cause__, ConnectionError)
    assert writer.close()["FaultyWriter"].state == "failed"

    late = FaultyWriter(fail=1000, on_error="raise", flush_secs=100)
    log(late, 1)
    with pytest.raises(DltoolsError, match="ConnectionError"):
        late.flush()
    late.close()


def test_on_error_raise_is_told_by_close_but_hides_no_other_error() -> None:
    writer = FaultyWriter(fail=1000, on_error="raise", flush_secs=100)
    log(writer, 1)
    with pytest.raises(DltoolsError, match="ConnectionError"):
        writer.close()
    other = FaultyWriter(fail=1000, on_error="raise", flush_secs=100)

    def fails() -> None:
        with other:
            log(other, 1)
            raise KeyError

    with pytest.warns(RuntimeWarning, match="ConnectionError"), pytest.raises(KeyError):
        fails()
    assert other.calls == ["open", "close failed"]


def test_close_keeps_its_timeout_and_tells_what_is_pending() -> None:
    writer = FaultyWriter(flush_secs=0.001)
    writer.gate.clear()
    log(writer, 5)
    start = time.monotonic()
    delivery = writer.close(timeout=0.05)["FaultyWriter"]
    assert time.monotonic() - start < 5
    assert delivery.pending == 5
    writer.gate.set()
    assert until(lambda: writer.calls[-1] == "close ok")


def test_without_a_journal_the_oldest_go() -> None:
    writer = FaultyWriter(max_pending=10, flush_secs=100)
    log(writer, 25)
    delivery = writer.close()["FaultyWriter"]
    assert steps(writer.taken) == list(range(15, 25))
    assert (delivery.written, delivery.dropped, delivery.pending) == (10, 15, 0)


@pytest.mark.parametrize("max_pending", [1, 7, 1000])
def test_with_a_journal_the_rest_is_read_from_there(tmp_path: Path, max_pending: int) -> None:
    cfg = FaultyWriterCfg(max_pending=max_pending, flush_secs=0.001)
    with MultiWriter(dir=str(tmp_path), writers={"slow": cfg}) as writer:
        slow = writer.writers["slow"]
        assert isinstance(slow, FaultyWriter)
        slow.gate.clear()
        for step in range(200):
            writer.scalars({"a": step}, step)
            if step == 100:
                writer.text("note", "not for this backend", step)
                slow.gate.set()
                assert until(lambda: not slow.health()["slow"].pending)
                slow.gate.clear()
        slow.gate.set()
    assert steps(slow.taken) == list(range(200))
    delivery = writer.health()["slow"]
    assert (delivery.written, delivery.pending, delivery.dropped) == (200, 0, 0)


def test_a_given_up_backend_with_a_journal_drops_nothing_for_good(quick: None, tmp_path: Path) -> None:
    cfg = FaultyWriterCfg(fail=1000, flush_secs=0.001)
    writer = MultiWriter(dir=str(tmp_path), writers={"bad": cfg})
    bad = writer.writers["bad"]
    assert isinstance(bad, FaultyWriter)
    bad.gate.clear()
    writer.scalars({"a": 0}, 0)
    bad.gate.set()
    assert until(lambda: writer.health()["bad"].state == "failed")
    with pytest.warns(RuntimeWarning):
        writer.scalars({"a": 1}, 1)
    writer.close()
    delivery = writer.health()["bad"]
    assert (delivery.pending, delivery.dropped) == (2, 0)


def test_waiting_images_are_bounded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(feed, "MAX_BYTES", 1000)

    class Pictures(MemoryWriter):
        pass

    lone = MemoryWriter(flush_secs=100)
    monkeypatch.setattr(type(lone), "threaded", True)
    monkeypatch.setattr(type(lone), "accepts", frozenset({Image}))
    for step in range(5):
        lone.image("x", np.zeros((10, 30), np.uint8), step)
    delivery = lone.close()["MemoryWriter"]
    assert (delivery.written, delivery.dropped) == (3, 2)

    from dltools.writers.memory import MemoryWriterCfg

    with MultiWriter(dir=str(tmp_path), writers={"m": MemoryWriterCfg(flush_secs=100)}) as writer:
        for step in range(5):
            writer.image("x", np.zeros((10, 30), np.uint8), step)
    memory = writer.writers["m"]
    assert isinstance(memory, MemoryWriter)
    pictures = [record for record in memory.records if isinstance(record, Image)]
    assert [picture.pixels is not None for picture in pictures] == [True, True, True, False, False]
    assert all(picture.file for picture in pictures)


def test_a_rewind_comes_after_what_was_logged_before() -> None:
    writer = FaultyWriter(flush_secs=100)
    log(writer, 3)
    writer.rewind(1)
    writer.scalars({"a": 9}, 1)
    writer.close()
    assert [call for call in writer.calls if call != "flush"] == ["open", "write", "rewind step 1", "write", "close ok"]


def test_null_writer_checks_and_keeps_nothing() -> None:
    with NullWriter() as writer:
        writer.scalars({"a": 1}, 0)
        with pytest.raises(DltoolsError):
            writer.scalars({"a": 1}, -1)
    assert writer.health()["NullWriter"].written == 0

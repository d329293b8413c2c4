from __future__ import annotations

import os
import pty
import re
import sys
from collections.abc import Iterator

import pytest

from dltools.writers import bar, screen
from dltools.writers.bar import clock, progress
from tests.writers.streams import Clock, redirect


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that a test sets."""
    found = Clock()
    monkeypatch.setattr(bar, "time", found)
    monkeypatch.setattr(screen, "time", found)
    return found


def loop(time: Clock, secs: float, **options: object) -> None:
    """100 items of so many seconds each."""
    for _ in progress(range(100), desc="train", **options):  # type: ignore[arg-type]
        time.now += secs


def test_elsewhere_there_are_plain_lines_every_ten_seconds_and_at_the_end(
    monkeypatch: pytest.MonkeyPatch, time: Clock
) -> None:
    out, err = redirect(monkeypatch, terminal=False)
    loop(time, 1.0)
    assert out.getvalue() == ""
    assert err.plain
    lines = err.getvalue().splitlines()
    counts = [int(re.search(r"(\d+)/100", line)[1]) for line in lines]  # type: ignore[index]
    assert counts == [*range(10, 101, 10), 100]
    assert lines[4] == "train  50/100 (50%)  0:50, 1/s  0:50 left"
    assert lines[-1] == "train  100/100 (100%)  1:40, 1/s"


def test_a_terminal_has_a_bar_which_a_last_line_replaces(monkeypatch: pytest.MonkeyPatch, time: Clock) -> None:
    out, err = redirect(monkeypatch, terminal=True)
    loop(time, 1.0)
    assert err.getvalue() == ""
    assert not out.plain
    assert "━" * 15 + "╌" * 15 + "  50/100 (50%)" in out.text
    assert out.screen == ["train  " + "━" * 30 + "  100/100 (100%)  1:40, 1/s"]
    assert out.getvalue().count("\x1b[?25l") == out.getvalue().count("\x1b[?25h") == 1  # the cursor comes back


def test_it_is_drawn_four_times_a_second_at_most(monkeypatch: pytest.MonkeyPatch, time: Clock) -> None:
    out, _ = redirect(monkeypatch, terminal=True)
    for _ in progress(range(10_000)):
        time.now += 0.001
    assert 10 <= out.text.count("left") <= 41


def test_the_clock_is_asked_for_a_few_items_only(monkeypatch: pytest.MonkeyPatch, time: Clock) -> None:
    redirect(monkeypatch, terminal=False)
    for _ in progress(range(100_000)):
        time.now += 1e-5
    assert time.asked < 60


def test_a_loop_that_slows_down_is_still_seen(monkeypatch: pytest.MonkeyPatch, time: Clock) -> None:
    _, err = redirect(monkeypatch, terminal=False)
    for i in progress(range(1300)):
        time.now += 1e-3 if i < 1000 else 1.0
    assert 25 <= len(err.getvalue().splitlines()) <= 31


def test_without_a_length_it_counts(monkeypatch: pytest.MonkeyPatch, time: Clock) -> None:
    _, err = redirect(monkeypatch, terminal=False)
    assert [*progress(iter("abc"))] == ["a", "b", "c"]
    assert re.fullmatch(r"3  0:00, .*/s\n", err.getvalue())


def test_a_total_is_taken_instead_of_the_length(monkeypatch: pytest.MonkeyPatch, time: Clock) -> None:
    _, err = redirect(monkeypatch, terminal=False)
    assert [*progress(range(3), total=4)] == [0, 1, 2]
    assert err.getvalue().startswith("3/4 (75%)")


@pytest.mark.parametrize("items", [[], range(0)])
def test_nothing(monkeypatch: pytest.MonkeyPatch, items: list[int]) -> None:
    _, err = redirect(monkeypatch, terminal=False)
    assert [*progress(items)] == []
    assert err.getvalue().startswith("0  0:00")


def test_an_exception_and_a_break_end_the_bar(monkeypatch: pytest.MonkeyPatch, time: Clock) -> None:
    out, _ = redirect(monkeypatch, terminal=True)

    def broken() -> Iterator[int]:
        yield from range(5)
        raise KeyError

    with pytest.raises(KeyError):
        sum(progress(broken(), total=10))
    for i in progress(range(10)):
        time.now += 1
        if i == 7:
            break
    assert [re.findall(r"\d+/10", line) for line in out.screen] == [["5/10"], ["7/10"]]
    assert out.getvalue().count("\x1b[?25l") == out.getvalue().count("\x1b[?25h")


def test_bars_within_bars(monkeypatch: pytest.MonkeyPatch, time: Clock) -> None:
    out, _ = redirect(monkeypatch, terminal=True)
    for _ in progress(range(2), desc="epoch"):
        for _ in progress(range(5), desc="step"):
            time.now += 1
    full = "━" * 30
    assert out.screen == [
        f"step  {full}  5/5 (100%)  0:05, 1/s",
        f"step  {full}  5/5 (100%)  0:05, 1/s",
        f"epoch  {full}  2/2 (100%)  0:10, 0.2/s",
    ]


def test_what_a_loop_prints_stands_above_its_bar(monkeypatch: pytest.MonkeyPatch, time: Clock) -> None:
    out, _ = redirect(monkeypatch, terminal=True)
    for i in progress(range(3)):
        time.now += 1
        print("item", i)
    assert out.screen[:3] == ["item 0", "item 1", "item 2"]
    assert len(out.screen) == 4
    assert sys.stdout is out


def test_a_real_terminal(monkeypatch: pytest.MonkeyPatch, time: Clock) -> None:
    monkeypatch.setenv("TERM", "xterm")
    leader, follower = pty.openpty()
    shown = ""
    with os.fdopen(follower, "w") as terminal, os.fdopen(leader, "rb", buffering=0) as seen:
        monkeypatch.setattr(sys, "stdout", terminal)
        for _ in progress(range(3), desc="train"):
            time.now += 1
        print("the end", flush=True)
        while "the end" not in shown:
            shown += seen.read(4096).decode(errors="replace")
    assert "\x1b[" in shown
    assert "2/3 (67%)" in shown
    assert "3/3 (100%)" in shown


@pytest.mark.parametrize(
    ("secs", "text"), [(0, "0:00"), (59.6, "1:00"), (3599, "59:59"), (3600, "1:00:00"), (90061, "25:01:01")]
)
def test_clock(secs: float, text: str) -> None:
    assert clock(secs) == text

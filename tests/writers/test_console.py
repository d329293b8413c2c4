from __future__ import annotations

import math
from pathlib import Path

import pytest

from dltools.writers import bar, console, screen
from dltools.writers.bar import progress
from dltools.writers.console import ConsoleWriter, ConsoleWriterCfg
from dltools.writers.multi import MultiWriter
from tests.writers.streams import Clock, redirect


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that a test sets."""
    found = Clock()
    monkeypatch.setattr(console, "time", found)
    monkeypatch.setattr(screen, "time", found)
    monkeypatch.setattr(bar, "time", found)
    return found


def log(writer: ConsoleWriter, time: Clock, secs: float) -> None:
    """A row every so many seconds, ten times, each delivered."""
    for step in range(10):
        writer.scalars({"train/loss": 1 / (step + 1), "n": step}, step)
        writer.flush()
        time.now += secs


def test_elsewhere_there_are_plain_lines_every_so_many_seconds_and_at_the_end(
    monkeypatch: pytest.MonkeyPatch, time: Clock
) -> None:
    out, err = redirect(monkeypatch, terminal=False)
    with ConsoleWriter(every_secs=3.0) as writer:
        log(writer, time, 1.0)
        writer.scalars({"val/iou": math.nan}, 1, axis="epoch")
    assert out.plain
    assert out.getvalue().splitlines() == [
        "step 0  train/loss 1  n 0",
        "step 3  train/loss 0.25  n 3",
        "step 6  train/loss 0.1429  n 6",
        "step 9  train/loss 0.1  n 9",
        "epoch 1  val/iou nan",
    ]
    assert err.getvalue() == ""


def test_a_line_has_the_latest_of_each_key_since_the_last_line(monkeypatch: pytest.MonkeyPatch, time: Clock) -> None:
    out, _ = redirect(monkeypatch, terminal=False)
    with ConsoleWriter() as writer:
        writer.scalars({"a": 1}, 0)
        writer.flush()
        writer.scalars({"b": 2}, 1)
        writer.scalars({"c": 3, "b": 4}, 2)
    assert out.getvalue().splitlines() == ["step 0  a 1", "step 2  b 4  c 3"]


def test_keys_are_chosen_by_pattern(monkeypatch: pytest.MonkeyPatch, time: Clock) -> None:
    out, _ = redirect(monkeypatch, terminal=False)
    with ConsoleWriter(keys="val/*, lr") as writer:
        writer.scalars({"train/loss": 1.0}, 0)
        writer.scalars({"train/loss": 1.0, "val/loss": 2.0, "lr": 1e-5}, 1)
    assert out.getvalue().splitlines() == ["step 1  val/loss 2  lr 1e-05"]


def test_a_terminal_shows_the_latest_between_lines(monkeypatch: pytest.MonkeyPatch, time: Clock) -> None:
    out, _ = redirect(monkeypatch, terminal=True)
    with ConsoleWriter(every_secs=100.0) as writer:
        log(writer, time, 1.0)
    assert not out.plain
    for step in range(10):
        assert f"step {step}  train/loss" in out.text
    kept = [line for line in out.getvalue().splitlines() if line.startswith("step")]
    assert kept[0].startswith("step 0")
    assert out.text.splitlines()[-1].startswith("step 9")
    assert out.getvalue().count("\x1b[?25l") == out.getvalue().count("\x1b[?25h")


def test_it_is_drawn_four_times_a_second_at_most(monkeypatch: pytest.MonkeyPatch, time: Clock) -> None:
    out, _ = redirect(monkeypatch, terminal=True)
    with ConsoleWriter(every_secs=100.0) as writer:
        for step in range(1000):
            writer.scalars({"a": step}, step)
            writer.flush()
            time.now += 0.001
    assert out.text.count("step") <= 4 + 2


@pytest.mark.parametrize(("style", "terminal", "plain"), [
    ("auto", True, False), ("auto", False, True), ("plain", True, True),
])  # fmt: skip
def test_style(monkeypatch: pytest.MonkeyPatch, time: Clock, style: str, terminal: bool, plain: bool) -> None:
    out, _ = redirect(monkeypatch, terminal=terminal)
    with ConsoleWriter(style=style, every_secs=100.0) as writer:  # type: ignore[arg-type]
        log(writer, time, 1.0)
    assert out.plain == plain


def test_an_axis_that_is_rewound_is_forgotten(monkeypatch: pytest.MonkeyPatch, time: Clock) -> None:
    out, _ = redirect(monkeypatch, terminal=False)
    with ConsoleWriter() as writer:
        writer.scalars({"a": 1}, 0)
        writer.flush()
        writer.scalars({"a": 2}, 5)
        writer.rewind(3)
    assert out.getvalue().splitlines() == ["step 0  a 1"]


def test_markup_and_long_lines_are_shown_as_they_are(monkeypatch: pytest.MonkeyPatch, time: Clock) -> None:
    out, _ = redirect(monkeypatch, terminal=True)
    with ConsoleWriter() as writer:
        writer.scalars({"[red]a[/red]": 1, **{f"key{k}": k for k in range(50)}}, 0)
    assert "[red]a[/red] 1" in out.text
    assert max(map(len, out.text.splitlines())) <= 100


def test_it_shares_the_screen_with_a_bar(monkeypatch: pytest.MonkeyPatch, time: Clock, tmp_path: Path) -> None:
    out, _ = redirect(monkeypatch, terminal=True)
    with MultiWriter(dir=str(tmp_path), writers={"console": ConsoleWriterCfg(every_secs=100.0)}) as writer:
        for step in progress(range(5), desc="train"):
            writer.scalars({"a": step}, step)
            writer.flush()
            time.now += 1
    assert out.screen == ["step 0  a 0", "train  " + "━" * 30 + "  5/5 (100%)  0:05, 1/s", "step 4  a 4"]

"""Streams that stand for a terminal or a file."""

from __future__ import annotations

import io
import re

import pytest


class Stream(io.StringIO):
    """Keeps what is written to it; says that it is a terminal, or not."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal

    @property
    def text(self) -> str:
        """What was written, without control codes."""
        return re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", self.getvalue())

    @property
    def screen(self) -> list[str]:
        """What a terminal shows in the end: it knows new lines, returns, moving up, erasing a line."""
        lines, row, column = [""], 0, 0
        for code, count, letter, char in re.findall(r"(\x1b\[\??([\d;]*)([A-Za-z]))|(.|[\r\n])", self.getvalue()):
            if code and letter == "A":
                row = max(0, row - int(count or 1))
            elif code and letter == "K":
                lines[row] = ""
            elif code:
                assert letter in "hlm", code
            elif char == "\r":
                column = 0
            elif char == "\n":
                row, column = row + 1, 0
                lines += [""] * (row == len(lines))
            else:
                lines[row] = lines[row][:column].ljust(column) + char + lines[row][column + 1 :]
                column += 1
        return [line.rstrip() for line in lines if line.strip()]

    @property
    def plain(self) -> bool:
        """Whether there is no control code in it."""
        return not set(self.getvalue()) & {"\x1b", "\r", "\x08"}


def redirect(monkeypatch: pytest.MonkeyPatch, *, terminal: bool) -> tuple[Stream, Stream]:
    """New stdout and stderr."""
    out, err = Stream(terminal=terminal), Stream(terminal=terminal)
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setattr("sys.stderr", err)
    for name in ("NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "FORCE_COLOR", "JUPYTER_COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    return out, err


class Clock:
    """Stands for ``time`` in a module: goes on by ``tick`` seconds whenever it is asked."""

    def __init__(self, tick: float = 0.0) -> None:
        self.now, self.tick, self.asked = 1000.0, tick, 0

    def monotonic(self) -> float:
        self.now, self.asked = self.now + self.tick, self.asked + 1
        return self.now

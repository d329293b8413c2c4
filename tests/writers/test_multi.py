from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dltools.errors import ConfigError, MissingExtraError
from dltools.meters import Mean, collect
from dltools.writers.base import Delivery, WriterCfg
from dltools.writers.journal import read_journal
from dltools.writers.memory import MemoryWriter, MemoryWriterCfg
from dltools.writers.multi import MultiWriter, MultiWriterCfg
from dltools.writers.records import Scalars
from dltools.writers.tensorboard import TensorBoardWriterCfg
from tests.writers.helpers import FaultyWriter, FaultyWriterCfg, journal, steps, tensorboard, until, values


def multi(folder: Path, **writers: WriterCfg[Any]) -> MultiWriter:
    return MultiWriter(dir=str(folder), writers={"tb": TensorBoardWriterCfg(), **writers})


def test_one_call_is_one_line_and_one_event(tmp_path: Path) -> None:
    with multi(tmp_path) as writer:
        writer.scalars({"a": 1.5, "b": torch.tensor(2.0)}, 3)
        line = (tmp_path / "metrics.jsonl").read_text()
        assert re.fullmatch(r'\{"step":3,"time":\d+\.\d+,"a":1\.5,"b":2\.0\}\n', line)
    assert tensorboard(tmp_path / "tb") == {"a": [(3, 1.5)], "b": [(3, 2.0)]}


def test_not_finite(tmp_path: Path) -> None:
    with multi(tmp_path) as writer:
        for step, value in enumerate([float("nan"), float("inf"), -float("inf")]):
            writer.scalars({"a": value}, step)
    for line in (tmp_path / "metrics.jsonl").read_text().splitlines():
        assert json.loads(line, parse_constant=pytest.fail)["a"] is None
    np.testing.assert_equal([value for _, value in journal(tmp_path)["a"]], [np.nan, np.inf, -np.inf])
    np.testing.assert_equal([value for _, value in tensorboard(tmp_path / "tb")["a"]], [np.nan, np.inf, -np.inf])


def test_reopened_and_rewound_every_file_holds_each_step_once(tmp_path: Path) -> None:
    with multi(tmp_path) as writer:
        for step in range(10):
            writer.scalars({"a": step}, step)
    with multi(tmp_path) as writer:
        writer.rewind(5)
        for step in range(5, 8):
            writer.scalars({"a": step}, step)
    expected = {"a": [(step, float(step)) for step in range(8)]}
    assert steps(read_journal(tmp_path)) == list(range(8))
    assert journal(tmp_path) == tensorboard(tmp_path / "tb") == expected
    assert steps(read_journal(tmp_path / "metrics.cut-1.jsonl")) == [5, 6, 7, 8, 9]


def test_a_bad_and_a_slow_backend_do_not_touch_the_good(tmp_path: Path) -> None:
    bad, slow = FaultyWriterCfg(fail=10**9, flush_secs=0.01), FaultyWriterCfg(sleep=3600, flush_secs=0.01)
    writer = multi(tmp_path, bad=bad, slow=slow, good=MemoryWriterCfg())

    def log() -> dict[str, Delivery]:
        for step in range(500):
            writer.scalars({"a": step}, step)
            if step == 250:
                assert until(lambda: writer.health()["bad"].state == "degraded")
        return writer.close(timeout=0.3)

    with pytest.warns(RuntimeWarning, match="'bad' failed"):
        health = log()
    good = writer.writers["good"]
    assert isinstance(good, MemoryWriter)
    assert steps(good.records) == steps(read_journal(tmp_path)) == list(range(500))
    assert len(tensorboard(tmp_path / "tb")["a"]) == 500
    assert [health[name].state for name in ("journal", "tb", "good")] == ["closed"] * 3
    assert health["bad"].state in ("degraded", "failed")
    assert health["bad"].error == "ConnectionError: nobody answers"
    assert health["slow"].pending == 500


def test_a_report_is_a_row(tmp_path: Path) -> None:
    mean = Mean()
    mean.update(torch.tensor([1.0, 3.0]))
    with MultiWriter(dir=str(tmp_path)) as writer:
        writer.scalars(collect({"train/loss": mean}), 7)
    assert journal(tmp_path) == {"train/loss": [(7, 2.0)]}


def run(folder: Path, start: int, stop: int, state: dict[str, Any] | None) -> dict[str, Any]:
    """Steps of a training run: a row each, an epoch every 4, a picture every 5, staged or not."""
    with multi(folder) as writer:
        if state is not None:
            writer.load_state_dict(state)
        writer.hparams({"lr": 0.1}, ["loss"])
        for step in range(start, stop):
            writer.scalars({"loss": 1 / (step + 1), "n": step}, step)
            if step % 4 == 3:
                writer.scalars({"val": float("nan") if step == 3 else step}, step // 4, axis="epoch")
            if step % 5 == 0:
                writer.image("pred/A", np.full((4, 4), step, np.uint8), step, caption="c")
            writer.histogram("h", np.arange(step + 1), step)
        return writer.state_dict()


def timeless(folder: Path) -> list[str]:
    return re.sub(r'"time":[\d.]+', "", (folder / "metrics.jsonl").read_text()).splitlines()


@pytest.mark.parametrize("lost", [0, 1, 9])
def test_a_resumed_run_leaves_what_an_uninterrupted_one_does(tmp_path: Path, lost: int) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    final = run(whole, 0, 23, None)
    state = run(parts, 0, 10, None)
    assert state == {"next": {"step": 10, "epoch": 2}, "runs": {}}
    run(parts, 10, 10 + lost, None)
    assert run(parts, 10, 23, state) == final
    assert timeless(whole) == timeless(parts)
    np.testing.assert_equal(tensorboard(parts / "tb"), tensorboard(whole / "tb"))
    files = {f.relative_to(whole).as_posix(): f.read_bytes() for f in (whole / "images").rglob("*.png")}
    assert {f.relative_to(parts).as_posix(): f.read_bytes() for f in (parts / "images").rglob("*.png")} == files
    assert len(files) == 5
    assert len([*(parts / "tb").glob("events*")]) == 1


def test_a_state_of_nothing_rewinds_everything(tmp_path: Path) -> None:
    run(tmp_path, 0, 6, None)
    with multi(tmp_path) as writer:
        writer.load_state_dict({"next": {}, "runs": {}})
        assert writer.state_dict()["next"] == {"step": 0, "epoch": 0} or writer.state_dict()["next"] == {}
    assert [record for record in read_journal(tmp_path) if isinstance(record, Scalars)] == []
    assert tensorboard(tmp_path / "tb") == {}


def test_nothing_is_opened_before_the_first_record(tmp_path: Path) -> None:
    writer = multi(tmp_path / "run", bad=FaultyWriterCfg())
    with pytest.raises(ConfigError):
        writer.scalars({"a": "text"}, 0)  # type: ignore[dict-item]
    assert {name: d.state for name, d in writer.health().items()} == dict.fromkeys(("journal", "tb", "bad"), "idle")
    writer.flush()
    writer.close()
    assert not (tmp_path / "run").exists()


def test_without_a_journal(tmp_path: Path) -> None:
    cfg = MultiWriterCfg(
        dir=str(tmp_path), journal=None, writers={"m": MemoryWriterCfg(), "tb": TensorBoardWriterCfg()}
    )
    with cfg.build() as writer:
        for step in range(6):
            writer.scalars({"a": step}, step)
        writer.rewind(4)
        writer.scalars({"a": -1.0}, 4)
    memory = writer.writers["m"]
    assert isinstance(memory, MemoryWriter)
    assert [row["a"] for row in values(memory.records)] == [0, 1, 2, 3, -1]
    assert tensorboard(tmp_path / "tb")["a"] == [(0, 0), (1, 1), (2, 2), (3, 3), (4, -1)]
    assert not (tmp_path / "metrics.jsonl").exists()
    assert set(writer.health()) == {"m", "tb"}


def test_writers_may_be_nested(tmp_path: Path) -> None:
    inner = MultiWriterCfg(dir="inner", writers={"m": MemoryWriterCfg()})
    with MultiWriter(dir=str(tmp_path), writers={"in": inner}) as writer:
        writer.scalars({"a": 1}, 0)
        writer.flush()
    assert journal(tmp_path) == journal(tmp_path / "inner") == {"a": [(0, 1.0)]}
    assert set(writer.health()) == {"journal", "in/journal", "in/m"}


def test_the_name_journal_is_taken() -> None:
    with pytest.raises(ConfigError, match="journal"):
        MultiWriterCfg(writers={"journal": MemoryWriterCfg()})


def test_a_missing_extra_is_told_when_it_is_built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "google_crc32c", None)
    with pytest.raises(MissingExtraError, match=r'pip install "dltools\[tensorboard\]"'):
        multi(tmp_path)


def test_failures_of_one_do_not_mark_another(tmp_path: Path) -> None:
    with MultiWriter(
        dir=str(tmp_path), writers={"a": FaultyWriterCfg(), "b": FaultyWriterCfg(on_error="raise")}
    ) as writer:
        writer.scalars({"x": 1}, 0)
    for child in writer.writers.values():
        assert isinstance(child, FaultyWriter)
        assert steps(child.taken) == [0]

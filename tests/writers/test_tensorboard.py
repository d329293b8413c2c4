from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from dltools.writers import lifecycle
from dltools.writers.events import OVERHEAD, EventFile, read_frames
from dltools.writers.multi import MultiWriter
from dltools.writers.tensorboard import TensorBoardWriter, TensorBoardWriterCfg
from tests.writers.helpers import tensorboard


def events(folder: Path) -> list[Event]:
    (file,) = folder.glob("events*")
    return [Event.FromString(data) for _, data in read_frames(file)]


def accumulated(folder: Path) -> EventAccumulator:
    found = EventAccumulator(str(folder))
    found.Reload()
    return found


def lone(folder: Path) -> TensorBoardWriter:
    return TensorBoardWriter(dir=str(folder))


def test_one_event_per_call_in_float32(tmp_path: Path) -> None:
    before = time.time()
    with lone(tmp_path) as writer:
        writer.scalars({"a": 0.1, "b": 2**53, "big": 1e300, "huge": 10**400}, 3)
    version, event = events(tmp_path)
    assert version.file_version == "brain.Event:2"
    assert event.step == 3
    assert before - 1 <= event.wall_time <= time.time()
    assert {v.tag: v.simple_value for v in event.summary.value} == {
        "a": float(np.float32(0.1)), "b": 2.0**53, "big": np.inf, "huge": np.inf,
    }  # fmt: skip


def test_size_per_scalar(tmp_path: Path) -> None:
    with lone(tmp_path) as writer:
        for step in range(100):
            writer.scalars({f"train/loss{k}": 0.5 for k in range(10)}, step)
    (file,) = tmp_path.glob("events*")
    assert file.stat().st_size / 1000 <= 30


def test_all_kinds(tmp_path: Path) -> None:
    values = torch.linspace(-1, 3, 1001, dtype=torch.float64)
    with lone(tmp_path) as writer:
        writer.image("rgb", np.full((6, 4, 3), 7, np.uint8), 1, caption="seven")
        writer.image("grey", np.zeros((6, 4), np.uint8), 1)
        writer.histogram("h", values, 2, bins=8)
        writer.text("t", "**bold**", 3)
        writer.artifact(tmp_path, "not shown", step=1)
    found = accumulated(tmp_path)
    (image,) = found.Images("rgb")
    assert (image.step, image.height, image.width) == (1, 6, 4)
    assert image.encoded_image_string.startswith(b"\x89PNG")
    assert found.Images("grey")[0].width == 4
    (histogram,) = found.Histograms("h")
    h = histogram.histogram_value
    assert (h.min, h.max, h.num, h.sum) == (-1, 3, 1001, pytest.approx(values.sum().item()))
    assert h.bucket == [0, *np.histogram(values.numpy(), 8)[0]]
    np.testing.assert_allclose(h.bucket_limit, np.linspace(-1, 3, 9))
    assert found.Tensors("t")[0].tensor_proto.string_val == [b"**bold**"]
    assert found.Tensors("rgb/caption")[0].tensor_proto.string_val == [b"seven"]


def test_images_may_be_jpegs_or_left_out(tmp_path: Path) -> None:
    with TensorBoardWriter(dir=str(tmp_path / "jpg"), images="jpg") as writer:
        writer.image("x", np.zeros((6, 4, 3)), 1)
    (image,) = accumulated(tmp_path / "jpg").Images("x")
    assert image.encoded_image_string.startswith(b"\xff\xd8")
    assert (image.height, image.width) == (6, 4)
    with TensorBoardWriter(dir=str(tmp_path / "none"), images="none") as writer:
        writer.image("x", np.zeros((6, 4, 3)), 1)
    assert accumulated(tmp_path / "none").Tags()["images"] == []


def test_hparams_stand_in_the_main_file(tmp_path: Path) -> None:
    with lone(tmp_path) as writer:
        writer.hparams({"lr": 0.1, "n": 3, "name": "x", "none": None}, ["val/acc"])
        writer.scalars({"val/acc": 0.5}, 1)
    found = accumulated(tmp_path)
    content = {
        tag: HParamsPluginData.FromString(found.SummaryMetadata(tag).plugin_data.content)
        for tag in found.Tags()["tensors"]
    }
    assert set(content) == {f"_hparams_/{what}" for what in ("experiment", "session_start_info", "session_end_info")}
    experiment = content["_hparams_/experiment"].experiment
    assert [info.name for info in experiment.hparam_infos] == ["lr", "n", "name", "none"]
    assert [info.name.tag for info in experiment.metric_infos] == ["val/acc"]
    start = content["_hparams_/session_start_info"].session_start_info
    assert start.hparams["lr"].number_value == 0.1
    assert start.hparams["name"].string_value == "x"
    assert content["_hparams_/session_end_info"].session_end_info.status == 1
    assert found.SummaryMetadata("_hparams_/experiment").plugin_data.plugin_name == "hparams"


def test_a_later_process_continues_the_file(tmp_path: Path) -> None:
    for start in (0, 3):
        with MultiWriter(dir=str(tmp_path), writers={"tb": TensorBoardWriterCfg()}) as writer:
            writer.hparams({"lr": 1})
            for step in range(start, start + 3):
                writer.scalars({"a": step}, step)
    found = events(tmp_path / "tb")
    assert sum(bool(event.file_version) for event in found) == 1
    tags = [value.tag for event in found for value in event.summary.value]
    assert tags.count("a") == 6
    assert tags.count("_hparams_/session_end_info") == tags.count("_hparams_/experiment") == 1


def test_a_rewind_tells_a_running_tensorboard(tmp_path: Path) -> None:
    with lone(tmp_path) as writer:
        for step in range(6):
            writer.scalars({"a": step}, step)
            writer.scalars({"e": step}, step, axis="epoch")
        writer.flush()
        running = EventAccumulator(str(tmp_path))
        running.Reload()
        writer.rewind(2)
        writer.rewind(4, axis="epoch")
        writer.scalars({"a": 9}, 2)
        writer.flush()
        running.Reload()
        assert [(e.step, e.value) for e in running.Scalars("a")] == [(0, 0), (1, 1), (2, 9)]
    assert tensorboard(tmp_path) == {"a": [(0, 0), (1, 1), (2, 9)], "e": [(0, 0), (1, 1), (2, 2), (3, 3)]}
    assert not [file for file in tmp_path.iterdir() if not file.stat().st_size]
    starts = [event for event in events(tmp_path) if event.session_log.status == SessionLog.START]
    assert len(starts) == 1


@pytest.mark.parametrize("damage", ["sidecar", "shorter", "journal", "garbage"])
def test_damage_between_two_processes_is_mended(tmp_path: Path, damage: str) -> None:
    def log(start: int, stop: int, **writers: TensorBoardWriterCfg) -> None:
        with MultiWriter(dir=str(tmp_path), writers=writers) as writer:
            if start:
                writer.rewind(start)
            for step in range(start, stop):
                writer.scalars({"a": step + start / 100}, step)

    log(0, 5, tb=TensorBoardWriterCfg())
    (file,) = (tmp_path / "tb").glob("events*")
    sidecar = tmp_path / "tb" / ".position.json"
    if damage == "sidecar":
        sidecar.unlink()
        file.unlink()
    elif damage == "garbage":
        sidecar.write_text("{}")
        file.unlink()
    elif damage == "shorter":
        with file.open("r+b") as stream:
            stream.truncate(40)
    else:
        log(3, 7)  # rewound by a process that knows no TensorBoard
    with MultiWriter(dir=str(tmp_path), writers={"tb": TensorBoardWriterCfg()}) as writer:
        writer.scalars({"a": 7}, 7)
    expected = [(step, pytest.approx(step + (0.03 if damage == "journal" and step >= 3 else 0))) for step in range(5)]
    if damage == "journal":
        expected += [(5, pytest.approx(5.03)), (6, pytest.approx(6.03))]
    assert tensorboard(tmp_path / "tb")["a"] == [*expected, (7, 7.0)]
    assert json.loads(sidecar.read_text())["length"] <= next((tmp_path / "tb").glob("events*")).stat().st_size


def test_it_joins_a_run_late(tmp_path: Path) -> None:
    with MultiWriter(dir=str(tmp_path)) as writer:
        writer.scalars({"a": 0}, 0)
        writer.image("x", np.zeros((2, 2)), 0)
    with MultiWriter(dir=str(tmp_path), writers={"tb": TensorBoardWriterCfg()}) as writer:
        writer.scalars({"a": 1}, 1)
    assert tensorboard(tmp_path / "tb")["a"] == [(0, 0.0), (1, 1.0)]
    assert len(accumulated(tmp_path / "tb").Images("x")) == 1


def test_framing(tmp_path: Path) -> None:
    file = EventFile(tmp_path / "e")
    file.append([b"one", b"", b"three"])
    file.close()
    assert [data for _, data in read_frames(file.path)] == [b"one", b"", b"three"]
    whole = file.path.read_bytes()
    assert file.length == len(whole) == 3 * OVERHEAD + 8
    for cut in range(len(whole)):
        file.path.write_bytes(whole[:cut])
        reopened = EventFile(file.path)
        reopened.append([b"x"])
        reopened.close()
        data = [data for _, data in read_frames(file.path)]
        assert data == [b"one", b"", b"three"][: len(data) - 1] + [b"x"]
    flipped = bytearray(whole)
    flipped[13] ^= 1
    file.path.write_bytes(flipped)
    assert [*read_frames(file.path)] == []


def test_a_failed_append_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dltools.writers import events as module

    file = EventFile(tmp_path / "e")
    file.append([b"one"])
    write = module.os.write
    calls = []

    def half(fd: int, data: bytes) -> int:
        calls.append(1)
        if len(calls) > 1:
            raise OSError("full")
        return write(fd, data[:5])

    monkeypatch.setattr(module.os, "write", half)
    with pytest.raises(OSError, match="full"):
        file.append([b"two"])
    monkeypatch.undo()
    file.append([b"three"])
    file.close()
    assert [data for _, data in read_frames(file.path)] == [b"one", b"three"]


def test_never_tensorflow(tmp_path: Path) -> None:
    import sys

    with lone(tmp_path) as writer:
        writer.hparams({"lr": 0.1})
        writer.text("t", "x", 0)
    assert "tensorflow" not in sys.modules


def test_what_was_written_without_a_journal_is_not_written_again_with_one(tmp_path: Path) -> None:
    with MultiWriter(dir=str(tmp_path)) as writer:
        writer.scalars({"a": 0}, 0)
    with lone(tmp_path / "tb") as alone:
        alone.scalars({"a": 0}, 0)
        alone.scalars({"a": 1}, 1)
    for step in (2, 3):
        with MultiWriter(dir=str(tmp_path), writers={"tb": TensorBoardWriterCfg()}) as writer:
            writer.scalars({"a": step}, step)
    assert tensorboard(tmp_path / "tb") == {"a": [(0, 0.0), (1, 1.0), (2, 2.0), (3, 3.0)]}


def test_each_rank_has_a_file_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for start in (0, 2):
        for rank in range(2):
            monkeypatch.setattr(lifecycle, "rank", lambda rank=rank: rank)
            child = TensorBoardWriterCfg(ranks="all")
            with MultiWriter(dir=str(tmp_path), ranks="all", writers={"tb": child}) as writer:
                for step in range(start, start + 2):
                    writer.scalars({f"rank {rank}": step}, step)
    files = sorted((tmp_path / "tb").glob("events*"))
    assert [file.suffix for file in files] == [".rank0", ".rank1"]
    for rank, file in enumerate(files):
        tags = [v.tag for _, data in read_frames(file) for v in Event.FromString(data).summary.value]
        assert tags == [f"rank {rank}"] * 4

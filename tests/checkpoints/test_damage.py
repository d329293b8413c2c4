"""Files that are cut or altered by accident are found out and named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from dltools.checkpoints import RunCfg, Store
from dltools.errors import CheckpointError
from tests.checkpoints.boxes import Box, store_in

FILES = ["MANIFEST.json", "card.json", "state.json", "state.safetensors", "weights.safetensors"]


def filled(root: Path, checksum: str = "crc32") -> Store:
    store = store_in(root, checksum=checksum)
    for step in (1, 2):
        store.save({"model": nn.Linear(8, 4), "box": Box([step, torch.arange(9.0)])}, step=step, metrics={"acc": 0.5})
    return store


def read_all(store: Store, path: Path) -> str:
    """The error of an explicit reference; "newest" steps back from it with a warning that says the same."""
    with pytest.raises(CheckpointError) as caught:
        store.load(path)
    with pytest.warns(UserWarning, match="stepped back to step 1") as warned:
        assert store.load().step == 1
    assert str(path) in str(warned[0].message)
    return str(caught.value)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("cut", [0, 1, 8, "half", "all but one", "one more"])
def test_a_cut_file_is_named(name: str, cut: int | str, tmp_path: Path) -> None:
    store = filled(tmp_path)
    path = store.refs()[-1].path / name
    data = path.read_bytes()
    size = cut if isinstance(cut, int) else {"half": len(data) // 2, "all but one": len(data) - 1}.get(cut, len(data))
    path.write_bytes(data[:size] + b" " * (cut == "one more"))
    if name == "MANIFEST.json" and cut == "one more":
        assert store.load(path.parent).step == 2  # a space after JSON is nothing
        return
    message = read_all(store, path.parent)
    assert name in message
    if name.endswith("safetensors") and cut == "all but one":
        assert ("'bias'" if name.startswith("weights") else "'box.value.1'") in message


@pytest.mark.parametrize("checksum", ["crc32", "sha256"])
@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_is_named(name: str, checksum: str, tmp_path: Path) -> None:
    store = filled(tmp_path, checksum)
    path = store.refs()[-1].path / name
    data = path.read_bytes()
    stride = 1 if len(data) < 300 else 37
    for at in range(0, len(data), stride):
        damaged = bytearray(data)
        damaged[at] ^= 1 << at % 8
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError) as caught:
            store.load(path.parent)
        assert name in str(caught.value)
        if name == "weights.safetensors" and at >= 8 + int.from_bytes(data[:8], "little"):
            assert "tensor 'weight'" in str(caught.value) or "tensor 'bias'" in str(caught.value)
    path.write_bytes(data)
    assert store.load(path.parent).step == 2


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(name: str, tmp_path: Path) -> None:
    store = filled(tmp_path)
    path = store.refs()[-1].path / name
    path.unlink()
    assert f"cannot read {path}: No such file" in read_all(store, path.parent)


def test_if_all_are_damaged_nothing_starts_from_zero(tmp_path: Path) -> None:
    store = filled(tmp_path)
    for ref in store.refs():
        (ref.path / "MANIFEST.json").write_text("{}")
    with pytest.raises(CheckpointError, match="no checkpoint that can be read"):
        store.load()
    with pytest.raises(CheckpointError, match=r"MANIFEST\.json is no manifest"):
        store.newest()
    with pytest.raises(CheckpointError):
        RunCfg(total_steps=3).build(store, {})


def test_a_damaged_checkpoint_takes_no_place(tmp_path: Path) -> None:
    store = store_in(tmp_path, keep_last=1)
    ref = store.save({"box": Box(torch.ones(9))}, step=9)
    store.save({"box": Box(torch.ones(9))}, step=8)
    data = bytearray((ref.path / "state.safetensors").read_bytes())
    data[-1] ^= 1
    (ref.path / "state.safetensors").write_bytes(data)
    with pytest.warns(UserWarning, match="damaged"):
        assert store.load().step == 8
    for step in (3, 4):
        store.save({"box": Box(0)}, step=step)
    assert [one.step for one in store.refs()] == [4, 8, 9]
    with pytest.warns(UserWarning, match="damaged"):
        assert store.load().step == 8


def test_a_newer_format_asks_for_an_update(tmp_path: Path) -> None:
    path = filled(tmp_path).refs()[-1].path
    said = json.loads((path / "MANIFEST.json").read_text())
    (path / "MANIFEST.json").write_text(json.dumps({**said, "format": 2}))
    with pytest.raises(CheckpointError, match=r"has format 2. Expected 1. Hint: update dltools"):
        store_in(tmp_path).load(path)

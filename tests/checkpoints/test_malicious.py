"""Files that somebody made to do harm: each is an error, in bounded time and memory, and nothing happens."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from dltools.errors import CheckpointError
from tests.checkpoints.boxes import Box, store_in


class Evil:
    """Makes a file when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("harmed"),))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    part = Box([torch.ones(3), {"a": 1.5}])
    return store_in(tmp_path / "store").save({"model": nn.Linear(2, 1), "box": part}, step=1).path


def crc(data: bytes) -> str:
    return f"{zlib.crc32(data):08x}"


def resign(folder: Path, change: Callable[[dict[str, Any]], None] | None = None) -> None:
    """Give the manifest the checksums of what lies there, as an attacker would."""
    path = folder / "MANIFEST.json"
    said = json.loads(path.read_text())
    for name in ("card.json", "state.json"):
        data = (folder / name).read_bytes()
        said["files"][name] = {"size": len(data), "checksum": crc(data), "tensors": {}}
    for name in ("weights.safetensors", "state.safetensors"):
        data = (folder / name).read_bytes()
        length = int.from_bytes(data[:8], "little")
        sums = {"size": len(data), "checksum": crc(data[: 8 + length]), "tensors": {}}
        try:
            header = json.loads(data[8 : 8 + length])
            sums["tensors"] = {key: crc(data[8 + length :][slice(*one["data_offsets"])]) for key, one in header.items()}
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            pass
        said["files"][name] = sums
    if change is not None:
        change(said)
    said.pop("digest")
    text = json.dumps(said, separators=(",", ":")).encode()
    path.write_text(json.dumps({**said, "digest": hashlib.sha256(text).hexdigest()}))


def refused(folder: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        store_in(folder.parent).load(folder)
    with pytest.raises(CheckpointError):
        store_in(folder.parent).load()
    assert not Path("harmed").exists()
    assert len(str(caught.value)) < 2000
    return str(caught.value)


FILES = ["MANIFEST.json", "card.json", "state.json", "state.safetensors", "weights.safetensors"]


@pytest.mark.parametrize("name", FILES)
def test_a_pickle_under_any_name(name: str, folder: Path) -> None:
    (folder / name).write_bytes(pickle.dumps(Evil()))
    assert name in refused(folder)


@pytest.mark.parametrize("name", ["weights.safetensors", "state.safetensors", "model.pt"])
def test_a_zip_under_any_name(name: str, folder: Path) -> None:
    with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/data.pkl", bytes(10**7))
    if name == "model.pt":
        with pytest.raises(CheckpointError, match="is no directory"):
            store_in(folder.parent).load(folder / name)
    else:
        assert name in refused(folder)


def test_resigning_alone_is_no_harm(folder: Path) -> None:
    resign(folder)
    assert store_in(folder.parent).load(folder).parts["box"]["value"][1] == {"a": 1.5}


def header_of(**entries: Any) -> bytes:
    return json.dumps(entries).encode()


F32 = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
HEADERS: dict[str, tuple[bytes, str]] = {
    "huge": (b"", "hold no header"),
    "no table": (b"[1]", "no table"),
    "deep": (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
    "duplicate": (b'{"a":%s,"a":%s}' % (json.dumps(F32).encode(), json.dumps(F32).encode()), "'a' stands there twice"),
    "overlap": (header_of(a=F32, b={**F32, "data_offsets": [2, 6]}), "starts at 2"),
    "hole": (header_of(a=F32, b={**F32, "data_offsets": [8, 12]}), "starts at 8"),
    "late": (header_of(a={**F32, "data_offsets": [4, 8]}), "starts at 4"),
    "missing range": (header_of(a={"dtype": "F32", "shape": [1]}), "data_offsets"),
    "range of three": (header_of(a={**F32, "data_offsets": [0, 4, 8]}), "data_offsets"),
    "beyond the end": (header_of(a={**F32, "shape": [9], "data_offsets": [0, 36]}), "ends inside tensor 'a'"),
    "rest": (header_of(a={**F32, "shape": [0], "data_offsets": [0, 0]}), "belong to no tensor"),
    "backwards": (header_of(a={**F32, "shape": [-1], "data_offsets": [4, 0]}), "shape"),
    "unknown dtype": (header_of(a={**F32, "dtype": "O8"}), "'O8'"),
    "dtype of a list": (header_of(a={**F32, "dtype": ["F32"]}), "dtype"),
    "negative shape": (header_of(a={**F32, "shape": [-1, -1]}), "shape"),
    "overflow": (header_of(a={**F32, "shape": [2**62, 4, 0], "data_offsets": [0, 0]}), "shape"),
    "huge number": (header_of(a={**F32, "shape": [10**400, 0], "data_offsets": [0, 0]}), "shape"),
    "wide": (header_of(a={**F32, "shape": [1] * 10**5}), "shape"),
    "bool shape": (header_of(a={**F32, "shape": [True]}), "shape"),
    "long digits": (b'{"a":' + b"9" * 10**5 + b"}", "no JSON"),
    "not a number": (b'{"a":NaN}', "no JSON"),
    "not utf-8": (b'{"\xff":1}', "no JSON"),
    "bools": (header_of(a={"dtype": "BOOL", "shape": [8], "data_offsets": [0, 8]}), "other bytes than 0 and 1"),
}


@pytest.mark.parametrize("name", ["weights.safetensors", "state.safetensors"])
@pytest.mark.parametrize("case", HEADERS)
def test_headers_of_tensors(case: str, name: str, folder: Path) -> None:
    header, message = HEADERS[case]
    length = 2**62 if case == "huge" else len(header)
    (folder / name).write_bytes(length.to_bytes(8, "little") + header + b"\x03" * 8)
    resign(folder)
    found = refused(folder)
    assert name in found
    assert message in found


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


NODES: dict[str, Any] = {
    "unknown kind": {"$": "os.system", "items": ["touch harmed"]},
    "kind of a list": {"$": ["tensor"]},
    "no key": {"$": "tensor"},
    "no such tensor": {"$": "tensor", "key": "nowhere"},
    "key of a list": {"$": "tensor", "key": []},
    "no such weight": {"$": "weight", "key": "../x"},
    "dtype of torch": {"$": "tensor", "key": "box.value.0", "dtype": "load", "shape": [3]},
    "quantized": {"$": "tensor", "key": "box.value.0", "dtype": "qint8", "shape": [12]},
    "dtype too long": {"$": "tensor", "key": "box.value.0", "dtype": "complex128", "shape": [3]},
    "object array": {"$": "ndarray", "key": "box.value.0", "dtype": "|O8", "shape": [3]},
    "fields": {"$": "ndarray", "key": "box.value.0", "dtype": "f4,O", "shape": [3]},
    "giant item": {"$": "ndarray", "key": "box.value.0", "dtype": "<U999999999", "shape": [2**30]},
    "zero-size items": {"$": "ndarray", "key": "box.value.0", "dtype": "<U0", "shape": [2**40]},
    "negative shape": {"$": "ndarray", "key": "box.value.0", "dtype": "<f4", "shape": [-3, -1]},
    "odd unit": {"$": "scalar", "dtype": "<M8[xx]", "hex": "00" * 8},
    "no hex": {"$": "scalar", "dtype": "<f8", "hex": "zz"},
    "number for hex": {"$": "scalar", "dtype": "<f8", "hex": 10**12},
    "float of no bits": {"$": "float", "bits": ""},
    "int of words": {"$": "int", "hex": "__import__('os')"},
    "items of a number": {"$": "tuple", "items": 3},
    "pairs of three": {"$": "dict", "items": [["a", 1, 2]]},
    "list as key": {"$": "dict", "items": [[[], 1]]},
    "float as key": {"$": "Counter", "items": [[1.5, 1]]},
    "deep": json.loads(nested(400)),
}


@pytest.mark.parametrize("case", NODES)
def test_nodes_of_the_state(case: str, folder: Path) -> None:
    said = json.loads((folder / "state.json").read_text())
    (folder / "state.json").write_text(json.dumps({**said, "box": {"value": NODES[case]}}))
    resign(folder)
    assert "state.json" in refused(folder) or "box.value" in refused(folder)


@pytest.mark.parametrize("name", ["MANIFEST.json", "card.json", "state.json"])
@pytest.mark.parametrize(
    "text",
    [nested(100_000), '{"a":1,"a":2}', "9" * 10**5, "NaN", "", "null", "[]", "{}", '"x"', "\ufeff{}", "!!python"],
)
def test_texts(name: str, text: str, folder: Path) -> None:
    (folder / name).write_text(text, encoding="utf-8")
    if name != "MANIFEST.json":
        resign(folder)
    assert name in refused(folder)


def test_a_text_that_is_too_long_is_not_read(folder: Path) -> None:
    os.truncate(folder / "state.json", 2**40)
    assert "has 1099511627776 bytes" in refused(folder)


def test_a_file_larger_than_the_memory_is_not_read(folder: Path) -> None:
    os.truncate(folder / "weights.safetensors", 2**43)
    assert "more than the memory" in refused(folder)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_links_and_pipes(kind: str, name: str, folder: Path) -> None:
    path = folder / name
    path.rename(Path("moved"))
    if kind == "link":
        path.symlink_to(Path("moved").absolute())
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    assert name in refused(folder)


CHANGES: dict[str, Callable[[dict[str, Any]], None]] = {
    "path upwards": lambda said: said["files"].update({"../../etc/passwd": said["files"]["card.json"]}),
    "absolute path": lambda said: said["files"].update({"/etc/passwd": said["files"]["card.json"]}),
    "file left out": lambda said: said["files"].pop("card.json"),
    "negative step": lambda said: said.update(step=-1),
    "step of text": lambda said: said.update(step="1"),
    "bool step": lambda said: said.update(step=True),
    "huge step": lambda said: said.update(step=2**70),
    "unknown checksum": lambda said: said.update(checksum="none"),
    "more keys": lambda said: said.update(_target_="os.system"),
    "parts of a number": lambda said: said.update(parts=3),
    "other parts": lambda said: said.update(parts=["model"]),
    "sum of a list": lambda said: said["files"]["card.json"].update(checksum=["x"]),
    "sums of a list": lambda said: said["files"]["state.safetensors"].update(tensors=[]),
    "files of a list": lambda said: said.update(files=[1]),
    "file of a list": lambda said: said["files"].update({"card.json": []}),
    "other format": lambda said: said.update(format="1; import os"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_manifests(case: str, folder: Path) -> None:
    resign(folder, CHANGES[case])
    refused(folder)


CARDS: list[Any] = [
    {"metrics": [], "higher": {}, "tags": [], "created": ""},
    {"metrics": {"a": "x"}, "higher": {}, "tags": [], "created": ""},
    {"metrics": {}, "higher": {"a": 3}, "tags": [], "created": ""},
    {"metrics": {}, "higher": {}, "tags": [[]], "created": ""},
    {"metrics": {"a": {"$": "tensor", "key": "x"}}, "higher": {}, "tags": [], "created": ""},
    {"metrics": {}, "higher": {}, "tags": [], "created": "", "type": "os.system"},
]


@pytest.mark.parametrize("card", CARDS)
def test_cards(card: Any, folder: Path) -> None:
    (folder / "card.json").write_text(json.dumps(card))
    resign(folder)
    assert "card" in refused(folder)


def test_a_linked_checkpoint_is_none_of_the_store(folder: Path) -> None:
    away = folder.parent.parent / "away"
    folder.rename(away)
    folder.symlink_to(away)
    assert store_in(folder.parent).refs() == []

"""Files and directories that are whole on the disk or not there: written once, synced, read within bounds, removed."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from dltools.checkpoints import files
from dltools.errors import CheckpointError

Checksum = Literal["crc32", "sha256"]
MAX_JSON = 64 * 2**20
"""Bytes of a JSON text that is read: what it says takes up to 30 times as much memory."""


def checksum(kind: Checksum, data: bytes | memoryview) -> str:
    """Hexadecimal digits: 8 for crc32, 64 for sha256.

    >>> checksum("crc32", b"123456789")
    'cbf43926'
    """
    return f"{zlib.crc32(data):08x}" if kind == "crc32" else hashlib.sha256(data).hexdigest()


@contextmanager
def new_file(path: Path) -> Iterator[int]:
    """A new file, on the disk when the block ends."""
    fd = files.create(path)
    try:
        yield fd
        files.sync(fd)
    finally:
        files.close(fd)


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Write all of it, in as many calls as the system needs."""
    rest = memoryview(data)
    while rest:
        rest = rest[files.write(fd, rest) :]


@contextmanager
def existing_file(path: Path) -> Iterator[int]:
    """A file to read; what the system refuses is a CheckpointError."""
    try:
        fd = files.open_regular(path)
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        yield fd
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
    finally:
        files.close(fd)


def read_json(path: Path) -> tuple[Any, bytes]:
    """What a JSON file says, and its bytes."""
    with existing_file(path) as fd:
        size = files.size(fd)
        if size > MAX_JSON:
            raise CheckpointError(f"{path} has {size} bytes", expected=f"at most {MAX_JSON}")
        data = bytearray(size)
        data = data[: files.read(fd, memoryview(data))]
    return parse_json(bytes(data), str(path)), bytes(data)


def to_json(value: Any) -> bytes:
    """ASCII, floats exact; NaN must have been encoded before."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def parse_json(data: bytes, where: str) -> Any:
    """Strict JSON: no key twice, no NaN, not deeper than the interpreter goes."""
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=_once, parse_constant=_refuse)
    except RecursionError as error:
        raise CheckpointError(f"{where} is nested too deeply") from error
    except ValueError as error:
        raise CheckpointError(f"{where} is no JSON: {str(error)[:200]}") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"key {next(key for key in keys if keys.count(key) > 1)[:100]!r} stands there twice")
    return found


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")


def sync_folder(path: Path) -> None:
    """Make the names in a directory durable."""
    fd = files.open_folder(path)
    try:
        files.sync(fd)
    finally:
        files.close(fd)


def make_folders(path: Path) -> None:
    """Make a directory and those above it, durably."""
    if path.is_dir():
        return
    make_folders(path.parent)
    with suppress(FileExistsError):
        files.mkdir(path)
    sync_folder(path.parent)


def remove_tree(folder: Path) -> None:
    """Remove a directory of files; others may be removing it too."""
    for name in files.entries(folder):
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            remove_tree(path)
        else:
            with suppress(FileNotFoundError):
                files.unlink(path)
    with suppress(FileNotFoundError):
        files.rmdir(folder)

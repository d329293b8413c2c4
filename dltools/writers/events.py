"""TensorBoard's event file: length, masked CRC32C of it, data, masked CRC32C of the data, and so on."""

from __future__ import annotations

import importlib
import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from dltools.errors import MissingExtraError

_LENGTH, _CRC = struct.Struct("<Q"), struct.Struct("<I")
OVERHEAD = _LENGTH.size + 2 * _CRC.size


def require_tensorboard() -> None:
    """A MissingExtraError where one of the two packages is missing."""
    try:
        importlib.import_module("google_crc32c")
        proto("event")
    except ImportError as error:
        raise MissingExtraError("tensorboard", "tensorboard") from error


def proto(name: str) -> Any:
    """A module of TensorBoard's protocol buffers, which are generated: type checkers cannot see into them."""
    return importlib.import_module(f"tensorboard.compat.proto.{name}_pb2")


def frame(data: bytes) -> bytes:
    """One record of the file."""
    length = _LENGTH.pack(len(data))
    return b"".join((length, _CRC.pack(masked_crc(length)), data, _CRC.pack(masked_crc(data))))


def masked_crc(data: bytes) -> int:
    """CRC32C, rotated by 15 bits and shifted, as the format asks so that checksums of checksums differ."""
    import google_crc32c

    crc = int(google_crc32c.value(data))
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def read_frames(path: Path) -> Iterator[tuple[int, bytes]]:
    """Data of each whole, undamaged record, with where it ends; stops at the first other one."""
    end = 0
    with path.open("rb") as file:
        while len(head := file.read(_LENGTH.size + _CRC.size)) == _LENGTH.size + _CRC.size:
            if _CRC.unpack(head[_LENGTH.size :])[0] != masked_crc(head[: _LENGTH.size]):
                return
            (size,) = _LENGTH.unpack(head[: _LENGTH.size])
            data, crc = file.read(size), file.read(_CRC.size)
            if len(crc) < _CRC.size or _CRC.unpack(crc)[0] != masked_crc(data):
                return
            end += OVERHEAD + size
            yield end, data


class EventFile:
    """An event file that is only appended to, each time wholly or not at all."""

    def __init__(self, path: Path, keep: int | None = None) -> None:
        """Open or make the file; ``keep``: how many bytes of it hold, by default all whole records."""
        self.path: Path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        if keep is None:
            keep = max((end for end, _ in read_frames(path)), default=0)
        self.length: int = keep
        os.ftruncate(self._fd, keep)

    def append(self, events: Iterable[bytes]) -> None:
        """Add records. After an OSError the file is as before."""
        data = b"".join(map(frame, events))
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError:
            os.ftruncate(self._fd, self.length)
            raise
        self.length += len(data)

    def empty(self) -> None:
        """Throw away all that is in it."""
        os.ftruncate(self._fd, 0)
        self.length = 0

    def close(self) -> None:
        """Give the file back."""
        os.close(self._fd)

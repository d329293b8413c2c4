"""Files on a disk that processes share: owned by one of them, replaced whole."""

from __future__ import annotations

import fcntl
import os
import socket
from pathlib import Path

from dltools.errors import DltoolsError


def publish(path: Path, data: bytes | bytearray, *, durable: bool = False) -> None:
    """Replace a file whole: a reader finds the old bytes or the new ones; ``durable``: after a power cut too."""
    draft = path.with_name(f".{path.name}.draft")
    with draft.open("wb") as file:
        file.write(data)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    draft.replace(path)


def own(path: Path) -> int:
    """Own a file until the descriptor that is returned is closed; a DltoolsError names the process that owns it.

    The lock is a hidden file beside it. An owner that has died does not keep it, though a child that it forked does.
    """
    place = path.with_name(f".{path.name}.lock")
    fd = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        host, _, pid = os.pread(fd, 300, 0).decode(errors="replace").strip().rpartition(" ")
        if not _is_gone(host, pid):
            os.close(fd)
            here = (host, pid) == (socket.gethostname(), str(os.getpid()))
            owner = "this process" if here else f"process {pid} on {host}"
            raise DltoolsError(
                f"{path} is being written by {owner} (pid {pid})", hint="close that writer, or choose another dir"
            ) from None
        if _is_at(fd, place):  # a child of the dead owner still has its descriptor
            place.unlink(missing_ok=True)
        os.close(fd)
        return own(path)
    if not _is_at(fd, place):  # another process has replaced the file meanwhile
        os.close(fd)
        return own(path)
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{socket.gethostname()} {os.getpid()}".encode(), 0)
    return fd


def _is_at(fd: int, place: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), place.stat())
    except FileNotFoundError:
        return False


def _is_gone(host: str, pid: str) -> bool:
    if host != socket.gethostname() or not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return _is_zombie(int(pid))


def _is_zombie(pid: int) -> bool:
    """A killed process that its parent has not asked about yet; only Linux tells."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return False

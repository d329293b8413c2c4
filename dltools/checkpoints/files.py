"""The only calls to the file system that checkpoints make, each a function, so that a test can make any of them fail.

POSIX: directories can be synced, and a lock on a directory ends with its process.
"""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path


def create(path: Path) -> int:
    """A new file, open for writing."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)


def write(fd: int, data: memoryview) -> int:
    """Write what the system takes; the number of bytes."""
    return os.write(fd, data)


def sync(fd: int) -> None:
    """Wait until a file or directory is on the disk."""
    os.fsync(fd)


def close(fd: int) -> None:
    """Close a file or directory, and with it its lock."""
    os.close(fd)


def mkdir(path: Path) -> None:
    """Make one directory."""
    path.mkdir()


def rename(old: Path, new: Path) -> None:
    """Rename; an existing directory with content is an error."""
    old.rename(new)


def unlink(path: Path) -> None:
    """Remove a file."""
    path.unlink()


def rmdir(path: Path) -> None:
    """Remove an empty directory."""
    path.rmdir()


def entries(folder: Path) -> list[str]:
    """Names in a directory, sorted; none if it is gone."""
    try:
        return sorted(path.name for path in folder.iterdir())
    except FileNotFoundError:
        return []


def free_bytes(folder: Path) -> int:
    """What the user may still write there."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def open_folder(path: Path) -> int:
    """A directory, to be synced or locked."""
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)


def lock(fd: int) -> bool:
    """Lock an open directory for the life of this process; False if another one holds it."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def open_regular(path: Path) -> int:
    """A file to read; a link, pipe or device is an OSError, since it might lead anywhere or never end."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(f"{path} is no regular file")
    return fd


def size(fd: int) -> int:
    """Bytes of an open file."""
    return os.fstat(fd).st_size


def read(fd: int, into: memoryview) -> int:
    """Fill a buffer as far as the file goes; the number of bytes."""
    done = 0
    while done < len(into) and (count := os.readv(fd, [into[done : done + 2**30]])):
        done += count
    return done

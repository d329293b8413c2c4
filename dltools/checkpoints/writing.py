"""Publishing a checkpoint: written aside, synced, renamed into place; and removing what is left of others."""

from __future__ import annotations

import errno
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from dltools.checkpoints import files
from dltools.checkpoints.card import Card, Ref
from dltools.checkpoints.codec import Encoder, Tree
from dltools.checkpoints.disk import (
    MAX_JSON,
    Checksum,
    checksum,
    make_folders,
    new_file,
    remove_tree,
    sync_folder,
    to_json,
    write_all,
)
from dltools.checkpoints.manifest import CARD, MANIFEST, STATE, TENSORS, WEIGHTS, FileSums, Manifest
from dltools.checkpoints.tensors import write_tensors
from dltools.errors import CheckpointError

DRAFT, TRASH = ".tmp-", ".trash-"


class Draft:
    """A checkpoint that is ready to be written."""

    def __init__(self, step: int, states: Mapping[str, Tree], card: Card, kind: Checksum) -> None:
        encoder = Encoder()
        parts = {name: encoder.part(name, state) for name, state in states.items()}
        self.step: int = step
        self.parts: tuple[str, ...] = tuple(parts)
        self.card: Card = card
        self.kind: Checksum = kind
        self.tensors: dict[str, Mapping[str, Tensor]] = {WEIGHTS: encoder.weights, TENSORS: encoder.tensors}
        self.texts: dict[str, bytes] = {STATE: to_json(parts), CARD: to_json(encoder.part("card", card.tree()))}
        for name, text in self.texts.items():
            if len(text) > MAX_JSON:
                raise CheckpointError(
                    f"{name} would have {len(text)} bytes", expected=f"{MAX_JSON}", hint="use tensors"
                )

    @property
    def num_bytes(self) -> int:
        """About what it takes on the disk."""
        tensors = [x for group in self.tensors.values() for x in group.values()]
        return sum(x.numel() * x.itemsize + 200 for x in tensors) + sum(map(len, self.texts.values())) + 4096

    def publish(self, root: Path, serial: int, min_free: float) -> Ref:
        """Write it into a directory of its own; a CheckpointError leaves nothing behind, and says what was needed."""
        try:
            make_folders(root)
            if files.free_bytes(root) - self.num_bytes < min_free:
                raise OSError(errno.ENOSPC, f"{min_free:.0f} bytes must stay free")
            folder, lock = _new_folder(root)
        except OSError as error:
            raise write_error(root, error, self.num_bytes) from error
        try:
            return self._move(folder, root, self._write(folder, serial))
        except OSError as error:
            failure = write_error(root, error, self.num_bytes)
            _discard(folder)
            raise failure from error
        except BaseException:
            _discard(folder)
            raise
        finally:
            files.close(lock)

    def _write(self, folder: Path, serial: int) -> Manifest:
        """All files but the manifest."""
        sums = {name: write_tensors(folder / name, group, self.kind) for name, group in self.tensors.items()}
        for name, text in self.texts.items():
            _write_file(folder / name, text)
            sums[name] = FileSums(len(text), checksum(self.kind, text))
        return Manifest(self.step, serial, self.parts, self.kind, sums)

    def _move(self, folder: Path, root: Path, manifest: Manifest) -> Ref:
        """Write the manifest and give the directory its name; another process may have taken that."""
        while (root / manifest.name).exists():
            manifest = replace(manifest, serial=manifest.serial + 1)
        _write_file(folder / MANIFEST, manifest.to_bytes())
        sync_folder(folder)
        files.rename(folder, root / manifest.name)
        sync_folder(root)
        return Ref(root / manifest.name, manifest.step, manifest.serial, self.card)


def write_error(path: Path, error: OSError, needed: int) -> CheckpointError:
    """What an error of the system means for a save."""
    try:
        free = f"{files.free_bytes(path)} are free"
    except OSError:
        free = "how many are free is unknown"
    reason = error.strerror or str(error)
    return CheckpointError(f"cannot write to {path}: {reason}; {needed} bytes are needed, {free}")


def _write_file(path: Path, data: bytes) -> None:
    with new_file(path) as fd:
        write_all(fd, data)


def _new_folder(root: Path) -> tuple[Path, int]:
    """A directory to write in, and the lock that keeps others from taking it for debris."""
    while True:
        path = root / f"{DRAFT}{secrets.token_hex(8)}"
        files.mkdir(path)
        try:
            fd = files.open_folder(path)
        except FileNotFoundError:
            continue  # another process took it for debris before it was locked
        if files.lock(fd) and path.exists():
            return path, fd
        files.close(fd)


def _discard(folder: Path) -> None:
    """Remove a draft as far as the disk lets us; the next store does the rest."""
    with suppress(OSError):
        remove_tree(folder)


def clean(root: Path) -> None:
    """Remove what killed processes left: drafts that nobody has locked, and trash."""
    for name in files.entries(root):
        path = root / name
        if name.startswith(TRASH):
            remove_tree(path)
        elif name.startswith(DRAFT):
            with suppress(FileNotFoundError):
                fd = files.open_folder(path)
                try:
                    if files.lock(fd):
                        remove_tree(path)
                finally:
                    files.close(fd)


def remove(ref: Ref) -> None:
    """Remove a checkpoint: out of sight at once, then from the disk."""
    trash = ref.path.with_name(f"{TRASH}{secrets.token_hex(8)}")
    with suppress(FileNotFoundError):
        files.rename(ref.path, trash)
    remove_tree(trash)

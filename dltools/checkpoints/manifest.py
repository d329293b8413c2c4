"""The manifest of a checkpoint: what it consists of, and what to check every part of it by."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, get_args

from dltools.checkpoints.disk import Checksum, read_json, to_json
from dltools.errors import CheckpointError

FORMAT = 1
MANIFEST, CARD, STATE = "MANIFEST.json", "card.json", "state.json"
WEIGHTS, TENSORS = "weights.safetensors", "state.safetensors"
FILES = (WEIGHTS, TENSORS, STATE, CARD)
"""What stands beside the manifest; names from a file are never used as paths."""
SUM = re.compile(r"[0-9a-f]{8}|[0-9a-f]{64}")


@dataclass(frozen=True)
class FileSums:
    """Size and checksums of a file."""

    size: int
    checksum: str
    """Of a JSON file; of what stands in front of the tensors in a file of tensors."""
    tensors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """What a checkpoint consists of; valid only as a whole."""

    step: int
    serial: int
    """Counts the saves of a store, so that of two of one step the later is known without a clock."""
    parts: tuple[str, ...]
    checksum: Checksum
    files: Mapping[str, FileSums]

    @property
    def digest(self) -> str:
        """SHA-256 of all else that the manifest says."""
        return hashlib.sha256(to_json(self._tree())).hexdigest()

    @property
    def name(self) -> str:
        """What the directory of the checkpoint is called."""
        return f"step-{self.step:08d}-{self.digest[:8]}"

    def to_bytes(self) -> bytes:
        """The text of the file."""
        return to_json({**self._tree(), "digest": self.digest})

    def _tree(self) -> dict[str, Any]:
        return {"format": FORMAT, **asdict(self)}


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a checkpoint; a CheckpointError says why there is no valid one."""
    path = folder / MANIFEST
    said, _ = read_json(path)
    if not isinstance(said, dict) or "digest" not in said:
        raise CheckpointError(f"{path} is no manifest")
    if said.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} has format {str(said.get('format'))[:100]}", expected=str(FORMAT), hint="update dltools"
        )
    digest = said.pop("digest")
    del said["format"]
    try:
        files = {name: FileSums(**sums) for name, sums in said["files"].items()}
        found = Manifest(**{**said, "files": files, "parts": tuple(said["parts"])})
        if not _is_valid(found):
            raise ValueError("an entry is of the wrong kind")
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{path} is no manifest: {str(error)[:200]}") from error
    if found.digest != digest:
        raise CheckpointError(f"{path} is damaged: its digest is another")
    return found


def _is_valid(found: Manifest) -> bool:
    counts = (found.step, found.serial, *(one.size for one in found.files.values()))
    sums = [text for one in found.files.values() for text in (one.checksum, *one.tensors.values())]
    return (
        all(type(count) is int and 0 <= count < 2**63 for count in counts)
        and all(isinstance(part, str) for part in found.parts)
        and found.checksum in get_args(Checksum)
        and set(found.files) == set(FILES)
        and all(isinstance(text, str) and SUM.fullmatch(text) for text in sums)
    )

"""Reading a checkpoint: nothing is taken that its manifest does not vouch for, and nothing is executed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dltools.checkpoints.card import Card, Ref
from dltools.checkpoints.codec import Tree
from dltools.checkpoints.decode import Decoder
from dltools.checkpoints.disk import checksum, read_json
from dltools.checkpoints.manifest import CARD, MANIFEST, STATE, TENSORS, WEIGHTS, Manifest, read_manifest
from dltools.checkpoints.tensors import read_tensors
from dltools.errors import CheckpointError


@dataclass(frozen=True)
class Loaded:
    """A checkpoint as it was read, on the CPU."""

    ref: Ref
    parts: Mapping[str, Tree]
    """States by part."""

    @property
    def step(self) -> int:
        """The step after which it was saved."""
        return self.ref.step

    @property
    def card(self) -> Card:
        """What it says of itself."""
        return self.ref.card


def read_ref(folder: Path) -> Ref:
    """A checkpoint without its tensors."""
    return _ref(folder, read_manifest(folder))


def read_checkpoint(folder: Path) -> Loaded:
    """All of a checkpoint; a CheckpointError names the file, and the tensor, that is damaged."""
    if not folder.is_dir():
        raise CheckpointError(f"{folder} is no directory", expected=f"a checkpoint, with {MANIFEST} in it")
    manifest = read_manifest(folder)
    ref = _ref(folder, manifest)
    said = _read_json(folder, STATE, manifest)
    if not isinstance(said, dict) or tuple(said) != manifest.parts:
        raise CheckpointError(f"{folder / STATE} and its manifest disagree about the parts")
    weights = read_tensors(folder / WEIGHTS, manifest.files[WEIGHTS], manifest.checksum)
    tensors = read_tensors(folder / TENSORS, manifest.files[TENSORS], manifest.checksum)
    decoder = Decoder(weights, tensors, str(folder / STATE))
    return Loaded(ref, {name: decoder.part(name, node) for name, node in said.items()})


def _ref(folder: Path, manifest: Manifest) -> Ref:
    said = Decoder({}, {}, str(folder / CARD)).part("card", _read_json(folder, CARD, manifest))
    return Ref(folder, manifest.step, manifest.serial, Card.from_tree(said, str(folder / CARD)))


def _read_json(folder: Path, name: str, manifest: Manifest) -> Any:
    said, data = read_json(folder / name)
    if checksum(manifest.checksum, data) != manifest.files[name].checksum:
        raise CheckpointError(f"{folder / name} is damaged: it has another checksum")
    return said

"""Inputs of metrics of objects: lists of dicts, one per image, whose entries have a row per object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from dltools.errors import ShapeError


def check_images(pred: Any, target: Any, needs: Sequence[str], target_needs: Sequence[str]) -> None:
    """Refuse what is no such list, lacks an entry, or has entries of different lengths."""
    for name, given, wanted in (("pred", pred, needs), ("target", target, target_needs)):
        if isinstance(given, (Tensor, Mapping)) or not all(isinstance(one, Mapping) for one in given):
            raise ShapeError(f"{name} is a {type(given).__name__}", expected="a list of dicts, one per image")
        for i, one in enumerate(given):
            if missing := [key for key in wanted if not isinstance(one.get(key), Tensor)]:
                raise ShapeError(
                    f"{name}[{i}] has {', '.join(map(str, one)) or 'nothing'}", expected=f"tensors {', '.join(missing)}"
                )
            if len({one[key].shape[:1] for key in wanted}) > 1:
                shapes = ", ".join(f"{key} {tuple(one[key].shape)}" for key in wanted)
                raise ShapeError(f"{name}[{i}] has {shapes}", expected="a row per object in each")
    if len(pred) != len(target):
        raise ShapeError(f"{len(pred)} predictions, {len(target)} targets", expected="one of both per image")

"""Inputs of metrics of objects: lists of dicts, one per image, whose entries have a row per object."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from torch import Tensor

from dltools.errors import ShapeError

Rows = Mapping[str, Collection[tuple[int, ...]]]
"""Entries, and the shapes that a row of them may have; any, where none is named."""
NUMBER = ((),)
BOX = ((4,),)
MAY_HAVE: Rows = {"iscrowd": NUMBER, "area": NUMBER, "boxes": BOX}


def check_images(pred: Any, target: Any, needs: Rows, target_needs: Rows) -> None:
    """Refuse what is no such list, lacks an entry, or has entries of different lengths or wrong shapes."""
    for name, given, wanted in (("pred", pred, needs), ("target", target, {**MAY_HAVE, **target_needs})):
        if isinstance(given, (Tensor, Mapping)) or not all(isinstance(one, Mapping) for one in given):
            raise ShapeError(f"{name} is a {type(given).__name__}", expected="a list of dicts, one per image")
        must = needs if name == "pred" else target_needs
        for i, one in enumerate(given):
            if missing := [key for key in must if not isinstance(one.get(key), Tensor)]:
                raise ShapeError(
                    f"{name}[{i}] has {', '.join(map(str, one)) or 'nothing'}", expected=f"tensors {', '.join(missing)}"
                )
            _check_rows(f"{name}[{i}]", {key: (one[key], legal) for key, legal in wanted.items() if key in one})
    if len(pred) != len(target):
        raise ShapeError(f"{len(pred)} predictions, {len(target)} targets", expected="one of both per image")


def _check_rows(name: str, entries: Mapping[str, tuple[Tensor, Collection[tuple[int, ...]]]]) -> None:
    if len({x.shape[:1] for x, _ in entries.values()}) > 1:
        shapes = ", ".join(f"{key} {tuple(x.shape)}" for key, (x, _) in entries.items())
        raise ShapeError(f"{name} has {shapes}", expected="a row per object in each")
    for key, (x, legal) in entries.items():
        if not x.ndim or (len(x) and legal and tuple(x.shape[1:]) not in legal):
            expected = " or ".join(str(("n", *row)).replace("'", "") for row in legal)
            raise ShapeError(f"{name} has {key} {tuple(x.shape)}", expected=expected or "a row per object")

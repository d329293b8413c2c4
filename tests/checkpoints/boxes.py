"""Parts whose state is whatever a test puts in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dltools.checkpoints import Store, StoreCfg


class Box:
    """A part that keeps one value."""

    def __init__(self, value: Any = None) -> None:
        self.value = value

    def state_dict(self) -> dict[str, Any]:
        return {"value": self.value}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.value = state["value"]


def store_in(root: Path, **fields: Any) -> Store:
    return StoreCfg(root=root, **{"min_free_gb": 0.0, **fields}).build()


def through_disk(value: Any, root: Path) -> Any:
    """What a value is after it was saved and loaded."""
    return store_in(root).load(store_in(root).save({"box": Box(value)}, step=0)).parts["box"]["value"]

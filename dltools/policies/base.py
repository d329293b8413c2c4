"""What every policy shares: the fields that name its folder and seed, the parts of every training; where two differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from dltools.cfgutils.config import Config
from dltools.checkpoints.run import RunCfg
from dltools.checkpoints.store import StoreCfg
from dltools.data.loader import LoaderCfg
from dltools.writers.multi import MultiWriterCfg

T_co = TypeVar("T_co", covariant=True)


class PolicyCfg(Config[T_co]):
    """A training script: its parts, and where and from which seed it runs."""

    out: Path = Path("runs/run")
    """The run's folder; everything is written below it."""
    seed: int = 0
    """Initial weights, order of samples, augmentations and dropout all derive from it."""
    device: str = "cpu"
    run: RunCfg
    loader: LoaderCfg = LoaderCfg()
    store: StoreCfg = StoreCfg()
    writer: MultiWriterCfg = MultiWriterCfg()

    def build(self) -> T_co:
        """The policy; its ``run()`` trains."""
        return self.product()(self)


def differences(old: Any, new: Any, path: str = "") -> dict[str, tuple[Any, Any]]:
    """Paths at which the trees of two configs differ, with what stands there."""
    if not (isinstance(old, dict) and isinstance(new, dict) and old.get("type") == new.get("type")):
        return {} if old == new else {path: (old, new)}
    found: dict[str, tuple[Any, Any]] = {}
    for key in {**old, **new}:
        found |= differences(old.get(key), new.get(key), f"{path}.{key}" if path else str(key))
    return found

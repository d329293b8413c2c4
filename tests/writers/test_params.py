from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from dltools.cfgutils import Record
from dltools.errors import ConfigError
from dltools.writers.memory import MemoryWriterCfg
from dltools.writers.multi import MultiWriterCfg
from dltools.writers.params import flatten


class Optim(Record):
    lr: float = 0.1
    betas: tuple[float, ...] = (0.9, 0.99)


def test_nested_things_become_dotted_names() -> None:
    given = {"optim": Optim(), "n": np.int64(3), "flag": True, "t": torch.tensor(0.5), "none": None, "kind": str}
    assert flatten(given) == {
        "optim.lr": 0.1, "optim.betas.0": 0.9, "optim.betas.1": 0.99,
        "n": 3, "flag": 1, "t": 0.5, "none": None, "kind": "<class 'str'>",
    }  # fmt: skip


def test_a_config_tells_its_type() -> None:
    flat = flatten(MultiWriterCfg(journal=None, writers={"m": MemoryWriterCfg(flush_secs=2.0)}))
    assert (flat["type"], flat["writers.m.type"], flat["writers.m.flush_secs"]) == ("MultiWriter", "MemoryWriter", 2.0)
    assert flat["journal"] is None


@pytest.mark.parametrize("bad", [3, "lr=1", [1], {"": 1}, {"a\n": 1}, {"a": "\ud800"}])
def test_what_is_no_table_is_refused(bad: Any) -> None:
    with pytest.raises(ConfigError):
        flatten(bad)

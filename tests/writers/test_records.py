from __future__ import annotations

import numpy as np
import pytest
import torch

from dltools.errors import ConfigError
from dltools.writers.records import check_key, check_name, check_step, check_text


@pytest.mark.parametrize("step", [0, 3, np.int32(3), np.uint8(7), 2**63 - 1])
def test_steps_are_integers(step: int) -> None:
    assert check_step(step) == int(step)
    assert type(check_step(step)) is int


@pytest.mark.parametrize("step", [-1, 1.0, True, np.bool_(True), "3", None, torch.tensor(3), 2**63, np.float64(2)])
def test_other_steps_are_refused(step: object) -> None:
    with pytest.raises(ConfigError, match="step is"):
        check_step(step)


@pytest.mark.parametrize("name", ["a", "train/loss", "größe", "a b", "日本", "."])
def test_names(name: str) -> None:
    assert check_name(name) == check_key(name) == check_text(name, "text") == name


@pytest.mark.parametrize("name", ["", "a\nb", "\x00", "\x7f", "\x85", "\ud800", 3, None])
def test_bad_names(name: object) -> None:
    with pytest.raises(ConfigError):
        check_name(name)


@pytest.mark.parametrize("key", ["step", "time", "_axis", "_mine"])
def test_the_journals_own_names_are_refused(key: str) -> None:
    with pytest.raises(ConfigError, match="reserved"):
        check_key(key)
    assert check_name(key) == key

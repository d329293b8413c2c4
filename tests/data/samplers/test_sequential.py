from __future__ import annotations

import numpy as np
import pytest

from dltools.data import SamplerCfg, SequentialSamplerCfg, ShuffleSamplerCfg
from dltools.errors import ConfigError


@pytest.mark.parametrize(("n", "num_samples"), [(7, None), (7, 3), (7, 7), (3, 8), (1, 4)])
def test_positions_are_ids_and_epochs_go_on_where_the_last_ended(n: int, num_samples: int | None) -> None:
    sampler = SequentialSamplerCfg(num_samples=num_samples).build(n)
    size = num_samples or n
    assert sampler.num_samples == size
    drawn = np.concatenate([sampler.ids(0, epoch, 0, size) for epoch in range(4)])
    assert drawn.tolist() == [i % n for i in range(4 * size)]


@pytest.mark.parametrize("cfg", [SequentialSamplerCfg(), ShuffleSamplerCfg(), ShuffleSamplerCfg(num_samples=5)])
def test_nothing_to_draw_from_is_an_empty_pass(cfg: SamplerCfg[SequentialSamplerCfg]) -> None:
    sampler = cfg.build(0)
    assert sampler.num_samples == 0
    assert sampler.ids(0, 0, 0, 0).tolist() == []


def test_bad_input() -> None:
    with pytest.raises(ConfigError, match="n = -1"):
        ShuffleSamplerCfg().build(-1)
    with pytest.raises(ConfigError, match="3 values for 4 samples"):
        SequentialSamplerCfg().build(4, [1, 2, 3])
    with pytest.raises(ConfigError, match="num_samples"):
        ShuffleSamplerCfg(num_samples=0)


def test_repr_tells_config_and_size() -> None:
    assert repr(SequentialSamplerCfg().build(3)) == "build(SequentialSamplerCfg(), 3)"

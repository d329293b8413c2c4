from __future__ import annotations

import sys
from types import ModuleType

import pytest
import torch
from torch import nn

from dltools.cfgutils import build, dump, load
from dltools.errors import ConfigError, MissingExtraError
from dltools.optim import ExternalOptimCfg, OptimCfg


def test_a_class_of_another_package() -> None:
    import schedulefree

    cfg = ExternalOptimCfg(
        source="schedulefree", name="AdamWScheduleFree", lr=0.01, options={"weight_decay": 0.1, "warmup_steps": 2}
    )
    optimizer = build(cfg, nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2)))
    assert type(optimizer) is schedulefree.AdamWScheduleFree
    found = [(g["name"], g["lr"], g["weight_decay"], g["warmup_steps"]) for g in optimizer.param_groups]
    assert found == [("decay", 0.01, 0.1, 2), ("no_decay", 0.01, 0.0, 2)]
    assert load(OptimCfg, dump(cfg)) == cfg


def test_lion_by_hand() -> None:
    w = nn.Parameter(torch.tensor([1.0]))
    optimizer = build(
        ExternalOptimCfg(
            source="pytorch_optimizer", name="Lion", lr=0.5, options={"betas": (0.9, 0.99), "weight_decay": 0.0}
        ),
        [w],
    )
    w.grad = torch.tensor([-3.0])
    optimizer.step()
    assert w.item() == 1.5  # by the sign of the gradient


def test_mistakes() -> None:
    with pytest.raises(ConfigError, match="schedulefree has no optimizer 'AdamScheduleFree'; did you mean 'RAdamSch"):
        build(ExternalOptimCfg(source="schedulefree", name="AdamScheduleFree"), nn.Linear(1, 1))
    with pytest.raises(ConfigError, match="SGDScheduleFree takes no option 'momentun'; did you mean 'momentum'"):
        build(
            ExternalOptimCfg(source="schedulefree", name="SGDScheduleFree", options={"momentun": 0.9}), nn.Linear(1, 1)
        )
    with pytest.raises(ConfigError, match="options has 'lr'"):
        ExternalOptimCfg(source="schedulefree", name="SGDScheduleFree", options={"lr": 0.1})
    with pytest.raises(ConfigError, match=r"source.*'os'"):
        load(OptimCfg, "{type: ExternalOptim, source: os, name: system}")
    with pytest.raises(ConfigError, match="no optimizer 'os'"):
        build(ExternalOptimCfg(source="schedulefree", name="os"), nn.Linear(1, 1))


def test_a_package_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    absent: ModuleType | None = None
    monkeypatch.setitem(sys.modules, "schedulefree", absent)  # type: ignore[arg-type]
    with pytest.raises(MissingExtraError, match=r"schedulefree is not installed.*dltools\[optim\]"):
        build(ExternalOptimCfg(source="schedulefree", name="AdamWScheduleFree"), nn.Linear(1, 1))

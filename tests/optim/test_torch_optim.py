from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import pytest
import torch
from torch.optim import Optimizer

from dltools.cfgutils import build, override
from dltools.errors import ConfigError
from dltools.optim import AdamWCfg, LBFGSCfg, MuonCfg, OptimCfg, SGDCfg
from tests.strategies import subclasses

CONFIGS: list[Any] = [cfg for cfg in subclasses(OptimCfg) if cfg.tag and cfg.__module__ == AdamWCfg.__module__]
each = pytest.mark.parametrize("cfg", CONFIGS, ids=lambda cfg: cfg.tag)
OPTIONS: dict[str, dict[str, Any]] = {
    "AdamW": {"betas": (0.8, 0.9), "amsgrad": True, "weight_decay": 0.01},
    "Adam": {"amsgrad": True, "weight_decay": 0.01},
    "NAdam": {"momentum_decay": 0.1, "decoupled_weight_decay": True, "weight_decay": 0.1},
    "SGD": {"momentum": 0.9, "weight_decay": 0.01},
    "Rprop": {"etas": (0.4, 1.5), "step_sizes": (0.01, 1.0)},
    "RMSprop": {"momentum": 0.5, "centered": True},
    "ASGD": {"t0": 1.0},
    "LBFGS": {"max_iter": 3},
    "Muon": {"adjust_lr_fn": "match_rms_adamw"},
}


def test_torch_s_optimizers_are_complete() -> None:
    public = [cls for cls in vars(torch.optim).values() if isinstance(cls, type) and issubclass(cls, Optimizer)]
    assert {cfg._target for cfg in CONFIGS} == set(public) - {Optimizer}
    assert all(cfg.__name__ == f"{cfg._target.__name__}Cfg" for cfg in CONFIGS)


@each
def test_fields_and_defaults_are_torch_s(cfg: Any) -> None:
    real = {name: p.default for name, p in inspect.signature(cfg._target).parameters.items() if name != "params"}
    for implementation in ("fused", "foreach"):
        assert real.pop(implementation, None) is None
    ours = {field.name: field.default for field in dataclasses.fields(cfg)}
    assert set(ours) - set(real) == {"groups", "impl"}
    assert {name: ours[name] for name in real} == real


@each
def test_a_built_optimizer_moves_as_torch_s_does(cfg: Any) -> None:
    options: dict[str, Any] = {"lr": 0.1, **OPTIONS.get(cfg.tag, {})}
    mine, theirs = (torch.nn.Parameter(torch.linspace(-1, 1, 6, dtype=torch.float64).view(2, 3)) for _ in range(2))
    ours, real = build(cfg(**options, impl="loop"), [mine]), cfg._target([theirs], **options)
    assert type(ours) is cfg._target
    for n in range(4):
        for param, optimizer in ((mine, ours), (theirs, real)):
            param.grad = torch.sin(param.detach() + n)
            if cfg.tag == "SparseAdam":
                param.grad = param.grad.to_sparse(1)
            optimizer.step(*[lambda param=param: param.grad.sum()] * (cfg.tag == "LBFGS"))
    assert torch.equal(mine, theirs)
    assert not torch.equal(mine, torch.linspace(-1, 1, 6, dtype=torch.float64).view(2, 3))


@each
def test_a_module_of_matrices_is_grouped(cfg: Any) -> None:
    optimizer = build(cfg(), torch.nn.Sequential(torch.nn.Linear(2, 3, bias=False), torch.nn.Linear(3, 2, bias=False)))
    assert [len(group["params"]) for group in optimizer.param_groups] == [2]


def test_lbfgs_has_one_group() -> None:
    optimizer = build(LBFGSCfg(), torch.nn.Linear(2, 2))
    assert [len(group["params"]) for group in optimizer.param_groups] == [2]
    with pytest.raises(ConfigError, match="LBFGS"):
        build(LBFGSCfg(), [{"params": [torch.nn.Parameter(torch.zeros(1))]} for _ in range(2)])


def test_muon_takes_matrices_only() -> None:
    with pytest.raises(ConfigError, match=r"Muon.*2D.*MixedOptimCfg"):
        build(MuonCfg(), torch.nn.Linear(2, 2))


def test_sgd_first_steps_by_hand() -> None:
    w = torch.nn.Parameter(torch.tensor([2.0], dtype=torch.float64))
    optimizer = build(SGDCfg(lr=0.5, momentum=0.9, weight_decay=0.1), [w])
    by_hand, velocity = 2.0, 0.0
    for grad in (1.0, -2.0, 3.0):
        w.grad = torch.tensor([grad], dtype=torch.float64)
        optimizer.step()
        velocity = 0.9 * velocity + grad + 0.1 * by_hand
        by_hand -= 0.5 * velocity
        assert w.item() == pytest.approx(by_hand, rel=1e-15)


@pytest.mark.parametrize("betas", [(1.0, 0.999), (0.9, 1.5), (-0.1, 0.9)])
def test_a_beta_out_of_range_is_named(betas: tuple[float, float]) -> None:
    with pytest.raises(ConfigError, match=r"AdamWCfg.*betas"):
        AdamWCfg(betas=betas)
    with pytest.raises(ConfigError, match="betas"):
        override(AdamWCfg(), f"betas=[{betas[0]}, {betas[1]}]")


@pytest.mark.parametrize(
    "fields", [{"lr": 0.0}, {"lr": float("nan")}, {"lr": -1.0}, {"weight_decay": -0.1}, {"eps": -1e-8}, {"lr": True}]
)
def test_a_number_out_of_range_is_named(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(fields))):
        AdamWCfg(**fields)


@pytest.mark.parametrize("fields", [{"momentum": 0.0}, {"momentum": 0.9, "dampening": 0.1}])
def test_nesterov_needs_momentum_and_no_dampening(fields: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="nesterov needs a momentum"):
        SGDCfg(nesterov=True, **fields)  # type: ignore[arg-type]

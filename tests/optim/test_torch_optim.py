from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import pytest
import torch

from dltools.cfgutils import build, override
from dltools.errors import ConfigError
from dltools.optim import AdamWCfg, SGDCfg

CONFIGS = [(AdamWCfg, torch.optim.AdamW), (SGDCfg, torch.optim.SGD)]
both = pytest.mark.parametrize(("cfg", "torchs"), CONFIGS)


@both
def test_fields_and_defaults_are_torch_s(cfg: Any, torchs: Any) -> None:
    real = {name: p.default for name, p in inspect.signature(torchs).parameters.items() if name != "params"}
    assert real.pop("fused") is None
    assert real.pop("foreach") is None
    ours = {field.name: field.default for field in dataclasses.fields(cfg)}
    assert set(ours) - set(real) == {"groups", "impl"}
    assert {name: ours[name] for name in real} == real


@both
def test_a_built_optimizer_moves_as_torch_s_does(cfg: Any, torchs: Any) -> None:
    options: dict[str, Any] = {"lr": 0.1, "weight_decay": 0.01}
    options |= {"betas": (0.8, 0.9), "amsgrad": True} if torchs is torch.optim.AdamW else {"momentum": 0.9}
    mine, theirs = (torch.nn.Parameter(torch.linspace(-1, 1, 5, dtype=torch.float64)) for _ in range(2))
    ours, real = build(cfg(**options, impl="loop"), [mine]), torchs([theirs], **options)
    assert type(ours) is torchs
    for n in range(4):
        for param, optimizer in ((mine, ours), (theirs, real)):
            param.grad = torch.sin(param.detach() + n)
            optimizer.step()
    assert torch.equal(mine, theirs)


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

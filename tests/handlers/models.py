"""What the tests of the step handler share: small models, losses by hand, optimizers of every implementation."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

OPTIMIZERS: dict[str, tuple[type[torch.optim.Optimizer], dict[str, Any]]] = {
    "AdamW": (torch.optim.AdamW, {"lr": 1e-2, "weight_decay": 0.1}),
    "Adam": (torch.optim.Adam, {"lr": 1e-2, "amsgrad": True}),
    "SGD": (torch.optim.SGD, {"lr": 1e-2}),
    "SGD momentum": (torch.optim.SGD, {"lr": 1e-2, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    "SGD dampening": (torch.optim.SGD, {"lr": 1e-2, "momentum": 0.9, "dampening": 0.5}),
    "Adagrad": (torch.optim.Adagrad, {"lr": 1e-2, "lr_decay": 0.1}),
}
IMPLS: dict[str, dict[str, bool]] = {"fused": {"fused": True}, "foreach": {"foreach": True}, "loop": {"foreach": False}}


def mlp(dtype: torch.dtype = torch.float64, seed: int = 0) -> nn.Sequential:
    """Two layers of 3 -> 4 -> 1."""
    generator = torch.Generator().manual_seed(seed)
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).to(dtype)
    with torch.no_grad():
        for param in net.parameters():
            param.copy_(torch.randn(param.shape, generator=generator, dtype=torch.float64))
    return net


def batch(n: int, dtype: torch.dtype = torch.float64, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Inputs (n, 3) and targets (n, 1)."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 3, generator=generator, dtype=torch.float64)
    y = torch.randn(n, 1, generator=generator, dtype=torch.float64)
    return x.to(dtype), y.to(dtype)


def optimizer(name: str, params: Any, impl: str = "loop") -> torch.optim.Optimizer:
    """An optimizer of the table."""
    kind, options = OPTIMIZERS[name]
    made: torch.optim.Optimizer = kind(params, **options, **IMPLS[impl])
    return made


def bits(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """Copies of all parameters and of all tensors of the optimizer's state."""
    params = [param for group in optimizer.param_groups for param in group["params"]]
    states = [value for param in params for value in optimizer.state.get(param, {}).values()]
    return [copy.deepcopy(x.detach()) for x in [*params, *states] if isinstance(x, Tensor)]


def same(a: list[Tensor], b: list[Tensor]) -> bool:
    """Equal to the bit, NaN counted as equal to NaN."""
    return len(a) == len(b) and all(
        torch.equal(x.nan_to_num(9e9), y.nan_to_num(9e9)) for x, y in zip(a, b, strict=True)
    )

"""The update itself: a gate that fused optimizers read on the device and others on the host."""

from __future__ import annotations

import inspect

import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from dltools.errors import ConfigError
from dltools.handlers.gradients import Gradients


def check(model: nn.Module, optimizer: Optimizer) -> None:
    """A ConfigError for what cannot be handled, such as LBFGS, which evaluates the loss by itself."""
    if not isinstance(model, nn.Module) or not isinstance(optimizer, Optimizer):
        raise ConfigError(
            f"got a {type(model).__name__} and a {type(optimizer).__name__}",
            expected="a torch module and its torch optimizer",
            hint="build(cfg, model, optimizer)",
        )
    needed = [p for p in inspect.signature(optimizer.step).parameters.values() if p.default is p.empty]
    if any(p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in needed):
        raise ConfigError(
            f"{type(optimizer).__name__}.step needs a {needed[0].name}",
            expected="an optimizer that steps by the gradients alone",
            hint="call its step yourself, or use AdamW or SGD",
        )


def check_frozen(optimizer: Optimizer) -> None:
    """A ConfigError for groups with ``freeze_steps`` that no scheduler keeps still."""
    for group in optimizer.param_groups:
        if group.get("freeze_steps") and float(group["lr"]):
            raise ConfigError(
                f"group {group.get('name')!r} has freeze_steps={group['freeze_steps']}, and no schedule keeps it still",
                hint="schedule=SchedulerCfg(), or build a Scheduler of your own first",
            )


def takes_gate(optimizer: Optimizer) -> bool:
    """Whether the optimizer's kernels read ``found_inf`` and ``grad_scale``, as torch.amp.GradScaler asks it."""
    is_fused = all(group.get("fused") for group in optimizer.param_groups)
    return is_fused and getattr(optimizer, "_step_supports_amp_scaling", False)


def update(optimizer: Optimizer, gradients: Gradients, skipped: Tensor | None) -> bool | None:
    """Apply gradients, unless ``skipped`` is set. True or False: it was made or not; None: only the device knows.

    A skipped update changes no bit of parameters, moments and step counters; state that it allocates holds zeros.
    """
    if not takes_gate(optimizer):
        return _on_host(optimizer, gradients, skipped)
    if skipped is not None and isinstance(optimizer, SGD) and not _seed_momentum(optimizer, gradients):
        return _unfused(optimizer, gradients, skipped)
    if gradients.dtype == torch.float64:  # the kernels' ``grad_scale`` is float32
        gradients.settle()
    hooks = {} if skipped is None else {"found_inf": skipped.to(torch.float32)}
    if isinstance(gradients.divisor, Tensor) or gradients.divisor != 1.0:
        device = gradients.tensors[0].device if gradients.tensors else None
        hooks["grad_scale"] = torch.as_tensor(gradients.divisor, dtype=torch.float32, device=device)
    attributes = vars(optimizer)
    attributes.update(hooks)
    try:
        optimizer.step()
    finally:
        for name in hooks:
            del attributes[name]
    return True if skipped is None else None


def _on_host(optimizer: Optimizer, gradients: Gradients, skipped: Tensor | None) -> bool:
    if skipped is not None and bool(skipped):
        return False
    gradients.settle()
    optimizer.step()
    return True


def _seed_momentum(optimizer: SGD, gradients: Gradients) -> bool:
    """Give first momenta a buffer of zeros; False where torch's own first update is another one: under dampening.

    torch 2.13's fused kernel leaves an uninitialised buffer behind when the first step is skipped.
    """
    held = {id(param) for param in gradients.params}
    for group in (group for group in optimizer.param_groups if group["momentum"]):
        mine = [param for param in group["params"] if id(param) in held]
        fresh = [param for param in mine if optimizer.state.get(param, {}).get("momentum_buffer") is None]
        if fresh and group["dampening"]:
            return False
        for param in fresh:
            optimizer.state[param]["momentum_buffer"] = torch.zeros_like(param)
    return True


def _unfused(optimizer: Optimizer, gradients: Gradients, skipped: Tensor) -> bool:
    kept = [(group["fused"], group["foreach"]) for group in optimizer.param_groups]
    for group in optimizer.param_groups:
        group["fused"], group["foreach"] = False, False
    try:
        return _on_host(optimizer, gradients, skipped)
    finally:
        for group, (fused, foreach) in zip(optimizer.param_groups, kept, strict=True):
            group["fused"], group["foreach"] = fused, foreach

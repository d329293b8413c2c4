"""StepHandler: a loss becomes an update of the parameters, in phases whose order cannot be written wrongly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import reduce
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from dltools.errors import ConfigError, ShapeError
from dltools.handlers.accumulate import Accumulate, AccumulateCfg, Count
from dltools.handlers.amp import Amp, AmpCfg, LossScaler
from dltools.handlers.average import Average, AverageCfg
from dltools.handlers.backward import Backward, leaves_of
from dltools.handlers.base import Handler, StepCfg, StepInfo
from dltools.handlers.clip import Clip, ClipCfg
from dltools.handlers.gradients import Gradients
from dltools.handlers.meters import StepMeters
from dltools.handlers.parallel import Parallel
from dltools.handlers.phases import phases
from dltools.handlers.skip import Skip, SkipCfg, SkipNonFiniteCfg, non_finite
from dltools.handlers.update import check, check_frozen, update
from dltools.handlers.window import load_window, window_state
from dltools.meters.report import Reading
from dltools.optim.schedulers.scheduler import Scheduler, SchedulerCfg
from dltools.states import States


class StepHandlerCfg(StepCfg["StepHandler"]):
    """One slot for each phase of a step."""

    amp: AmpCfg | None = None
    """Half precision; None: full."""
    accumulate: AccumulateCfg = AccumulateCfg()
    clip: ClipCfg[Any] | None = None
    skip: tuple[SkipCfg[Any], ...] = (SkipNonFiniteCfg(),)
    """Reasons to skip an update; fp16 skips non-finite ones in any case."""
    average: AverageCfg[Any] | None = None
    schedule: SchedulerCfg | None = None
    schedule_on: Literal["attempted", "applied"] = "attempted"
    """Whether skipped updates move the schedule; "applied" reads one value on the host per update."""


class StepHandler(Handler):
    """Scale, backward | reduce, norm, gate, one multiply, apply, zero, average, schedule, meters.

    ``step(loss, count)`` adds the gradient of a micro-batch; the last one of a window updates the parameters by
    :math:`\\sum_k n_k \\nabla mean_k / \\sum_k n_k`, over all ranks under DDP and FSDP2, whatever the split. ``count``
    is the number of items that the loss is a mean (or sum) over, an int or a 0-d integer tensor; without it each
    micro-batch counts as 1. Nothing is read on the host with a fused optimizer, else one flag per update. As a source
    for ``collect`` it has ``grad_norm`` and the shares ``clipped`` and ``skipped``. ``flush()`` updates with a window
    that is not full; ``total_updates`` of ``build``, the length of a schedule, counts updates, not micro-batches;
    inside ``with step.average.swapped():`` the model has its averaged weights.

    Raises ShapeError for a loss that is no scalar, ConfigError for a negative count or counts for a part of a window.

    >>> net = nn.Linear(1, 1, bias=False)
    >>> _ = nn.init.constant_(net.weight, 1.0)
    >>> cfg = StepHandlerCfg(accumulate=AccumulateCfg(window=2))
    >>> step = cfg.build(net, torch.optim.SGD(net.parameters(), lr=1.0))
    >>> for x in (torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[4.0]])):
    ...     with step.forward():
    ...         loss = net(x).square().mean()
    ...     info = step(loss, count=len(x))
    >>> info.updated, info.grad_norm.item(), net.weight.item()
    (True, 15.0, -14.0)
    """

    def __init__(
        self,
        cfg: StepHandlerCfg,
        model: nn.Module,
        optimizer: Optimizer,
        total_updates: int | None = None,
        scaler: LossScaler | None = None,
    ) -> None:
        check(model, optimizer)
        self.cfg: StepHandlerCfg = cfg
        self.model: nn.Module = model
        self.optimizer: Optimizer = optimizer
        self.num_updates: int = 0
        self.parallel: Parallel = Parallel(model, self._params())
        self.amp: Amp | None = cfg.amp.build(self._device) if cfg.amp else None
        self.scaler: LossScaler | None = self.amp.scaler if self.amp else None
        if scaler is not None:
            if self.scaler is None:
                raise ConfigError("a scaler without fp16", hint='amp=AmpCfg(dtype="fp16"), or leave scaler out')
            self.scaler = scaler
        self.accumulate: Accumulate = cfg.accumulate.build()
        self.clip: Clip[Any] | None = cfg.clip.build() if cfg.clip else None
        self.skip: tuple[Skip[Any], ...] = tuple(one.build() for one in cfg.skip)
        self.average: Average[Any] | None = cfg.average.build(model) if cfg.average else None
        self.schedule: Scheduler | None = cfg.schedule.build(optimizer, total_updates) if cfg.schedule else None
        check_frozen(optimizer)
        self.meters: StepMeters = StepMeters()
        self._backward = Backward()
        self._norm_type = self.clip.norm_type if self.clip else 2.0
        self._needs_norm = bool(self.clip or self.skip or self.scaler)
        self._is_local = False
        self._train: Callable[[], Any] = getattr(optimizer, "train", bool)
        self._train()

    def __repr__(self) -> str:
        norm_type = self._norm_type if self._needs_norm else None
        return phases(self.cfg, repr(self.parallel), self.optimizer, norm_type, has_scale=self.scaler is not None)

    def forward(self) -> AbstractContextManager[Any]:
        """For the forward pass of the next ``step``: autocast; gradients travel in the last one of a window only.

        An optimizer with modes (schedule-free ones) is put into training mode.
        """
        self._train()
        can_wait = bool(self.parallel.wrapped) and not self.parallel.must_sync
        self._is_local = can_wait and self.accumulate.size + 1 < self.cfg.accumulate.window
        if self.amp is None:
            return self.parallel.no_sync() if self._is_local else nullcontext()
        return self._local_autocast(self.amp) if self._is_local else self.amp.autocast()

    def __call__(self, loss: Tensor, count: Count | None = None) -> StepInfo:
        """Add the gradient of a micro-batch, and update with the last one of a window."""
        if not isinstance(loss, Tensor) or loss.dim():
            given = f"has shape {list(loss.shape)}" if isinstance(loss, Tensor) else f"is a {type(loss).__name__}"
            raise ShapeError(
                f"loss {given}",
                expected="a scalar tensor",
                hint="loss.mean(), or loss.sum() with loss='sum'",
            )
        window = self.accumulate
        count = window.checked(count)
        if not window.size:
            self._open(count)
        if count is None or isinstance(count, Tensor) or count or self.parallel.world > 1:
            params: Sequence[Tensor] = ()
            if count is not None:
                params = leaves_of(loss) if self.parallel.is_sharded else self._params()
            self._backward(loss, window.weight(count), window.scale, params, count)
        window.add(count)
        window.is_local = self._is_local
        self.parallel.must_sync &= self._is_local
        loss = loss.detach()
        if window.size < window.cfg.window:
            return StepInfo(False, loss)
        if window.is_local:
            self.parallel.average_(self._params())
        return self._close(
            loss, window.size if window.total is None else self.parallel.share(window.total, self._device)
        )

    def flush(self) -> StepInfo | None:
        """Update with a window that is not full, at the end of an epoch, on all ranks; None if no window is open."""
        if self.cfg.accumulate.window == 1 and not self.accumulate.size:
            return None
        if not self.accumulate.size and self.parallel.world > 1:
            self._open(None)
        share = self.parallel.finish(self.accumulate, self._params())
        return None if share is None else self._close(None, share)

    def apply(self, count: Count | None = None) -> StepInfo:
        """Update by gradients that the caller made, each rank its own: by ``torch.autograd.grad``, or in ``no_sync``.

        With fp16 they are those of ``step.scaler.scale * loss``. ``count`` is what they are means (or sums) over.
        """
        window = self.accumulate
        if window.size:
            raise ConfigError(
                f"{window.size} micro-batches wait in the open window", hint="step.flush() before step.apply()"
            )
        count, params = window.checked(count), self._params()
        if count is not None and self.parallel.is_sharded and window.cfg.loss == "mean":
            raise ConfigError(
                "a count of gradients that the ranks have averaged already", hint="gradients of sums, and loss='sum'"
            )
        window.scale = None if self.scaler is None else self.scaler.scale
        Gradients(params).weigh(window.weight(count))
        window.add(count)
        if self.parallel.world > 1:
            self.parallel.average_(params)
        return self._close(None, 1 if count is None else self.parallel.share(count, self._device))

    @property
    def states(self) -> States:
        """What the meters count, for ``collect``."""
        return self.meters.states

    def read(self, s: States) -> Mapping[str, Reading]:
        """The meters' values, for ``collect``."""
        return self.meters.read(s)

    def state_dict(self) -> dict[str, Any]:
        """Average, scaler, schedule, meters, the open window with its gradients; not the optimizer, not the model.

        While a window is open all ranks call it; any of their states serves all of them.
        """
        parts = {name: part.state_dict() for name, part in self._parts().items()}
        return {
            "num_updates": self.num_updates,
            **parts,
            "window": window_state(self.accumulate, self.model, self._params(), self.parallel),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there; an open window is dropped for the saved one."""
        parts = self._parts()
        expected = {"num_updates", "window", *parts}
        if state.keys() != expected:
            raise ConfigError(
                f"the state has {', '.join(sorted(state))}",
                expected=", ".join(sorted(expected)),
                hint="build the handler from the config that it was saved with",
            )
        load_window(state["window"], self.accumulate, self.model, self._params(), self.parallel)
        for name, part in parts.items():
            part.load_state_dict(state[name])
        self.num_updates = state["num_updates"]

    @contextmanager
    def _local_autocast(self, amp: Amp) -> Iterator[None]:
        with self.parallel.no_sync(), amp.autocast():
            yield

    def _parts(self) -> dict[str, Any]:
        """Those that have a state, by name."""
        named: dict[str, Any] = {
            "average": self.average,
            "scaler": self.scaler,
            "schedule": self.schedule,
            "meters": self.meters,
        }
        named |= {"clip": self.clip} | {f"skip{i}": skip for i, skip in enumerate(self.skip)}
        return {name: part for name, part in named.items() if hasattr(part, "state_dict")}

    @property
    def _device(self) -> torch.device:
        """Where the first parameter is now."""
        device: torch.device = self.optimizer.param_groups[0]["params"][0].device
        return device

    def _params(self) -> list[Tensor]:
        return [param for group in self.optimizer.param_groups for param in group["params"]]

    def _open(self, count: Count | None) -> None:
        """A window keeps the loss scale that it begins with."""
        if self.scaler is not None:
            scale = self.scaler.scale
            self.accumulate.scale = scale / self.parallel.estimate(self.accumulate, count, scale.device)

    def _close(self, loss: Tensor | None, share: Count | float) -> StepInfo:
        """All phases after the gradients are added. ``share`` is the count of all ranks over their number."""
        gradients = Gradients(self._params())
        if isinstance(share, Tensor):
            share = share.to(self._device, gradients.dtype)
        scale = self.accumulate.scale
        gradients.divisor = share if scale is None else scale.to(gradients.dtype) * share
        made: bool | None = False
        if not isinstance(share, Tensor) and share == 0:
            info = StepInfo(True, loss, skipped=torch.ones((), device=self._device))
        else:
            info, made = self._update(loss, gradients, share)
        for param in gradients.params:
            param.grad = None
        self.accumulate.clear()
        self._is_local = False
        self.num_updates += 1
        self._follow(info, made)
        return info

    def _update(self, loss: Tensor | None, gradients: Gradients, share: Count | float) -> tuple[StepInfo, bool | None]:
        """Norm, gate, one multiply, apply."""
        norm = gradients.norm(self._norm_type) if self._needs_norm else None
        judged = loss
        if loss is not None and self.parallel.world > 1 and any(skip.reads_loss for skip in self.skip):
            judged = self.parallel.sum_(loss.clone()).div_(self.parallel.world)
        flags = [skip(norm, judged) for skip in self.skip] if norm is not None else []
        if self.scaler is not None:
            bad = non_finite(gradients.raw_norm(self._norm_type))
            self.scaler.update(bad)
            flags.append(bad)
        if isinstance(share, Tensor):
            flags.append(share.le(0).to(gradients.dtype))
        skipped = reduce(torch.maximum, flags) if flags else None
        gradients.skipped = skipped
        clip = self.clip(gradients) if self.clip is not None else None
        made = update(self.optimizer, gradients, skipped)
        return StepInfo(True, loss, norm, clip, skipped), made

    def _follow(self, info: StepInfo, made: bool | None) -> None:
        """Average, schedule, meters. Where only the device knows whether the update was made, ``made`` is None."""
        if self.average is not None:
            self.average.update(not made if made is not None or info.skipped is None else info.skipped)
        if self.schedule is not None:
            if made is None and self.cfg.schedule_on == "applied" and info.skipped is not None:
                made = not bool(info.skipped)
            if made is not False or self.cfg.schedule_on == "attempted":
                self.schedule.step()
        self.meters.take(info.grad_norm, info.clip, info.skipped)

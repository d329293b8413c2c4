"""The family of step handlers: what turns losses into updates of a model's parameters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

from torch import Tensor, nn
from torch.optim import Optimizer

from dltools.cfgutils.config import Config
from dltools.handlers.amp import LossScaler
from dltools.handlers.average import Average
from dltools.optim.schedulers.scheduler import Scheduler

T_co = TypeVar("T_co", covariant=True)


class StepInfo(NamedTuple):
    """What one call did. The tensors are 0-d and on the device: reading one waits for it."""

    updated: bool
    """Whether the call closed a window: an update, made or skipped."""
    loss: Tensor | None = None
    """The loss of this call, without its graph."""
    grad_norm: Tensor | None = None
    """Norm of the gradient of the window's mean loss before clipping; None where nothing needs it."""
    clip: Tensor | None = None
    """The factor that clipping applied, 1 where it left the gradient alone."""
    skipped: Tensor | None = None
    """1 where the update was skipped, 0 where it was made; None where nothing can skip."""


class StepCfg(Config[T_co]):
    """The family of what is built on a model and its optimizer."""

    def build(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        total_updates: int | None = None,
        *,
        scaler: LossScaler | None = None,
    ) -> T_co:
        """The handler. ``total_updates`` is the length of a schedule that has none of its own.

        ``model`` is the wrapped one under DDP. ``scaler`` is that of another handler, for two optimizers that share one
        backward precision.
        """
        return self.product()(self, model, optimizer, total_updates, scaler)


class Handler(ABC):
    """What a training loop may use of a handler besides its step."""

    num_updates: int
    """Updates so far, skipped ones too."""
    scaler: LossScaler | None
    """The loss scale of fp16."""
    average: Average[Any] | None
    """The averaged model, where one is configured."""
    schedule: Scheduler | None

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """The state, as it is now, without the optimizer's."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""

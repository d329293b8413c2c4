"""The contract of all losses: validate, make sums, add them up over ranks, take the value, log it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from torch import Tensor, nn

from dltools.cfgutils.component import Component
from dltools.cfgutils.config import Config
from dltools.errors import ConfigError
from dltools.losses.distutils import Sums, sync_sums
from dltools.losses.meters import LossMeters
from dltools.losses.view import MaybeTensor, View
from dltools.meters.report import Reading
from dltools.states import States

T_co = TypeVar("T_co", covariant=True)
CfgT = TypeVar("CfgT", bound="LossCfg[Any]")


class LossCfg(Config[T_co]):
    """What every loss has."""

    reduction: Literal["mean", "sum", "none"] = "mean"
    """Mean over what counts, plain sum, or each element (pixel, class) by itself."""
    sync: Literal["none", "mean", "sum"] = "none"
    """Value of the batch of all ranks; the word says how the gradients are merged afterwards (DDP: mean)."""
    check: bool = False
    """Also look at the values of targets and probabilities, which costs host reads."""

    def __post_init__(self) -> None:
        if self.reduction == "none" and self.sync != "none":
            raise ConfigError(f"sync={self.sync!r} with reduction='none'", expected="a loss with one value to merge")

    def build(self) -> T_co:
        """Make the loss."""
        return self.product()(self)


class Loss(Component[CfgT], nn.Module, ABC):
    """A function of sums over pixels, samples and ranks; a ``Source`` of what it has seen.

    Subclasses say what the sums are and what value they have. ``forward`` gives float32 for half precision, float64
    for float64; 0 with zero gradients if nothing is valid. It never reads the device unless ``check`` is set.

    A loss from scratch, of tensors as they are; one per pixel, of overlaps, numbers, boxes or embeddings derives from
    ``PixelLoss``, ``OverlapLoss``, ``ElementLoss``, ``BoxLoss`` or ``EmbeddingLoss`` instead, which know masks:

    >>> import torch
    >>> class SpreadLossCfg(LossCfg["SpreadLoss"]):
    ...     power: float = 2.0
    >>> class SpreadLoss(Loss[SpreadLossCfg]):
    ...     def sums(self, view):
    ...         pred, target, mask, weight_map = view.tensors()
    ...         error = (pred - target).abs() ** self.cfg.power
    ...         return {"error": error.sum(), "n": error.new_tensor(error.numel())}
    ...     def value(self, sums):
    ...         return sums["error"] / sums["n"].clamp(min=1)
    >>> SpreadLoss()(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0]))
    tensor(2.)
    """

    def __init__(self, cfg: CfgT | None = None, /, **fields: Any) -> None:
        super().__init__(cfg, **fields)
        self.meters: LossMeters = LossMeters(self.names())
        self._parts: dict[str, Tensor] = {}

    @abstractmethod
    def sums(self, view: View) -> Sums:
        """Tensors by name that add up over pixels, samples and ranks."""

    @abstractmethod
    def value(self, sums: Sums) -> Tensor:
        """The loss that the sums have."""

    def outcome(self, sums: Sums) -> dict[str, Tensor]:
        """All values that are logged: the loss itself, and by ``names`` what else there is."""
        return {"loss": self.value(sums)}

    def names(self) -> tuple[str, ...]:
        """What is logged beside the loss."""
        return ()

    def forward(
        self,
        pred: Any,
        target: Any,
        *,
        mask: MaybeTensor = None,
        weight_map: MaybeTensor = None,
    ) -> Tensor:
        """The loss of a batch.

        ``mask`` says what counts and ``weight_map`` how much, in the shape of the target; raises a ShapeError for
        what does not fit.
        """
        view = View(pred, target, mask, weight_map)
        outcome = self.outcome(self.merged(self.sums(view), view))
        self._parts = {name: value.detach() for name, value in outcome.items()}
        self.meters.take(self._parts, *view.seen())
        return outcome["loss"].to(view.dtype)

    def merged(self, sums: Sums, view: View) -> Sums:
        """The sums that were read off a view, over all ranks."""
        view.refuse_strays()
        return sync_sums(sums, self.cfg.sync)

    def parts(self) -> Mapping[str, Tensor]:
        """Detached values of the last call, by name; nothing before the first."""
        return dict(self._parts)

    def reset(self) -> None:
        """Start the meters again."""
        self.meters.reset()

    @property
    def states(self) -> States:
        """What ``collect`` merges over the ranks."""
        return self.meters.states

    def read(self, s: States) -> Mapping[str, Reading]:
        """What merged states say: ``loss``, ``bad_targets`` and what else is logged."""
        return self.meters.read(s)

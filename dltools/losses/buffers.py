"""Buffers that follow what a loss is given."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn


def buffer_on(module: nn.Module, name: str, device: torch.device) -> Tensor:
    """A buffer of a module, on a device. It stays there: a copy from the host at each call would be a stall each.

    >>> from dltools.losses import DiceLoss
    >>> loss = DiceLoss(class_weights=(1.0, 2.0))
    >>> buffer_on(loss, "class_weights", torch.device("meta")).shape, loss.class_weights.device.type
    (torch.Size([2]), 'meta')
    """
    buffer = cast(Tensor, getattr(module, name))
    if buffer.device != device:
        with torch.inference_mode(False):  # else no later call could save it for its backward
            buffer = buffer.to(device)
        setattr(module, name, buffer)
    return buffer

"""A model on which grouping by name or by rank goes wrong: 38 trainable tensors, 27 of which get no weight decay."""

from __future__ import annotations

import torch
from torch import Tensor, nn

DECAYED = {
    "tokens.weight", "query.weight", "recurrent.weight_ih_l0", "recurrent.weight_hh_l0", "attend.in_proj_weight",
    "attend.out_proj.weight", "normed.parametrizations.weight.original1", "pair.weight", "patch.weight",
    "bias_net.weight", "tables.0",
}  # fmt: skip
EXEMPT = {
    # biases, wherever they stand; `classify.weight` is tied to `tokens.weight`
    "classify.bias", "query.bias", "recurrent.bias_ih_l0", "recurrent.bias_hh_l0", "attend.in_proj_bias",
    "attend.out_proj.bias", "normed.bias", "pair.bias", "patch.bias", "bias_net.bias",
    # norms: torch's, derived from torch's, the user's own, of rank 2, of rank 4
    "root.scale", "layer.weight", "layer.bias", "per_channel.g", "per_channel.b", "group.weight", "group.bias",
    "batch.weight", "batch.bias", "plane.weight", "plane.bias",
    # scales: gains, slopes, temperatures, positions, class tokens
    "normed.parametrizations.weight.original0", "temperature", "gain", "slope.weight", "positions", "class_token",
}  # fmt: skip


class RootNorm(nn.Module):
    """A norm that torch does not know."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))


class ChannelNorm(nn.Module):
    """A norm of images: its affine has rank 4."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.g = nn.Parameter(torch.ones(1, width, 1, 1))
        self.b = nn.Parameter(torch.zeros(1, width, 1, 1))


class OwnLayerNorm(nn.LayerNorm):
    """A norm under another name."""


class TrickyModel(nn.Module):
    """Never run; only its parameters matter."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.tokens = nn.Embedding(10, width)
        self.classify = nn.Linear(width, 10)
        self.classify.weight = self.tokens.weight
        self.root, self.layer, self.per_channel = RootNorm(width), OwnLayerNorm(width), ChannelNorm(width)
        self.group, self.batch, self.plane = nn.GroupNorm(2, width), nn.BatchNorm2d(width), nn.LayerNorm([4, width])
        self.query, self.recurrent = nn.Linear(width, width), nn.GRU(width, width)
        self.attend = nn.MultiheadAttention(width, 2)
        self.normed = nn.utils.parametrizations.weight_norm(nn.Linear(width, width))
        self.positions = nn.Parameter(torch.zeros(1, 4, width))
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.temperature = nn.Parameter(torch.zeros(()))
        self.gain = nn.Parameter(torch.ones(width))
        self.slope, self.pair = nn.PReLU(), nn.Bilinear(width, width, width)
        self.patch, self.bias_net = nn.Conv2d(3, width, 3), nn.Linear(width, width)
        self.tables = nn.ParameterList([nn.Parameter(torch.randn(width, width))])
        self.still = nn.Linear(width, width).requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        return x

"""The blocks that networks are made of."""

from __future__ import annotations

from torch import Tensor, nn


class ConvNormAct(nn.Sequential):
    """Convolution without bias, batch norm, ReLU; (N, in, H, W) to (N, out, H / stride, W / stride).

    >>> import torch
    >>> ConvNormAct(3, 8, stride=2)(torch.zeros(2, 3, 8, 8)).shape
    torch.Size([2, 8, 4, 4])
    """

    def __init__(self, in_channels: int, out_channels: int, *, kernel: int = 3, stride: int = 1) -> None:
        conv = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False)
        nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
        super().__init__(conv, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))


class ResidualBlock(nn.Module):
    """Two convolutions around which the input is added (He et al. 2015, arXiv:1512.03385); shapes stay.

    The last norm starts at zero, so that the block starts as the identity (Goyal et al. 2017, arXiv:1706.02677).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first: ConvNormAct = ConvNormAct(channels, channels)
        self.second: nn.Conv2d = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm: nn.BatchNorm2d = nn.BatchNorm2d(channels)
        nn.init.kaiming_normal_(self.second.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same."""
        out: Tensor = self.norm(self.second(self.first(x)))
        return (x + out).relu()

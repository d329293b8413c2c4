"""What a parameter is for: a bias, the affine of a norm, an embedding, a scale, or a weight."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList

Role = Literal["bias", "norm", "embedding", "scale", "weight"]

LAYERS = (
    nn.Linear,
    nn.Bilinear,
    nn.modules.conv._ConvNd,
    nn.RNNBase,
    nn.RNNCellBase,
    nn.MultiheadAttention,
)
"""Weight-bearing layers: a matrix of theirs stays a weight when one of its sides is 1."""
NORM = re.compile(r"Norm(?=[A-Z0-9_]|$)|norm$")
"""In the name of a class or of a base: LayerNorm, BatchNorm2d, MyRMSNorm; not NormalizedHead, NormedLinear."""
BIAS = re.compile(r"bias|.*_bias$")


def is_norm(owner: type) -> bool:
    """Whether a module type normalises: torch's own, or named so.

    >>> is_norm(nn.GroupNorm), is_norm(nn.Linear)
    (True, False)
    """
    return not issubclass(owner, LAYERS) and any(NORM.search(base.__name__) for base in owner.__mro__)


@lru_cache(maxsize=1024)
def role_by_type(owner: type, key: str) -> Role | Literal["rank", "look"]:
    """The role, where it shows without the tensor; rank: a weight from two dimensions on, else a scale; look: ask more.

    >>> role_by_type(nn.LayerNorm, "weight"), role_by_type(nn.Linear, "weight"), role_by_type(nn.PReLU, "weight")
    ('norm', 'rank', 'look')
    """
    if issubclass(owner, ParametrizationList):
        return "look"
    if BIAS.match(key):
        return "bias"
    if is_norm(owner):
        return "norm"
    if issubclass(owner, nn.Embedding | nn.EmbeddingBag):
        return "embedding"
    return "rank" if issubclass(owner, LAYERS) and not key.endswith("_g") else "look"


def role_of(owner: nn.Module, key: str, param: Tensor) -> Role:
    """The role of parameter ``key`` of the module that holds it; for a parametrised tensor see ``parametrised_role``.

    - bias: called ``bias*`` or ``*_bias``; the name of its module does not matter
    - norm: any other parameter of a normalisation module, of any rank
    - embedding: the table of nn.Embedding, nn.EmbeddingBag
    - scale: outside weight-bearing layers, at most one side longer than 1, or leading size 1: gains, positions, class
      tokens
    - weight: the rest

    >>> linear, norm = nn.Linear(8, 1), nn.LayerNorm([4, 8])
    >>> role_of(linear, "weight", linear.weight), role_of(norm, "weight", norm.weight)
    ('weight', 'norm')
    """
    kind: type = type(owner)
    role = role_by_type(kind, key)
    if role != "rank" and role != "look":
        return role
    if param.ndim < 2 or (key.endswith("_g") and hasattr(owner, f"{key[:-1]}v")):  # a gain, or weight_norm's
        return "scale"
    is_thin = param.shape[0] == 1 or sum(size > 1 for size in param.shape) < 2
    return "scale" if is_thin and not issubclass(kind, LAYERS) else "weight"


def parametrised_role(owner: nn.Module, key: str, originals: ParametrizationList, param: Tensor) -> Role:
    """The role of one of the tensors that tensor ``key`` of ``owner`` is computed from.

    The largest (the last of equal ones) stands for the tensor itself; the others are factors, such as the gains of
    weight_norm.
    """
    parts = [part for part in originals._parameters.values() if part is not None]
    main = max(enumerate(parts), key=lambda part: (part[1].numel(), part[0]))[1]
    return role_of(owner, key, main) if param is main else "scale"

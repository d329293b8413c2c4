from __future__ import annotations

import pytest
import torch
from torch import nn

from dltools.optim.utils import role_of
from dltools.optim.utils.groups import param_groups
from dltools.optim.utils.roles import Role


class Holder(nn.Module):
    """A layer of one's own."""


class BlockNorm1d(Holder):
    """A norm of one's own."""


class NormedHead(Holder):
    """No norm, for all its name."""


class EmaNormalizedLayer(Holder):
    """No norm either."""


class CosineNormLinear(nn.Linear):
    """A weight-bearing layer, whatever it is called."""


CASES: list[tuple[nn.Module, str, tuple[int, ...], Role]] = [
    (nn.Linear(8, 1), "weight", (1, 8), "weight"),
    (nn.Linear(1, 1), "weight", (1, 1), "weight"),
    (nn.Conv2d(8, 1, 1), "weight", (1, 8, 1, 1), "weight"),
    (nn.GRUCell(1, 1), "weight_ih", (3, 1), "weight"),
    (CosineNormLinear(4, 4), "weight", (4, 4), "weight"),
    (nn.Embedding(5, 1), "weight", (5, 1), "embedding"),
    (nn.EmbeddingBag(5, 3), "weight", (5, 3), "embedding"),
    (nn.MultiheadAttention(4, 2, add_bias_kv=True), "bias_k", (1, 1, 4), "bias"),
    (nn.MultiheadAttention(4, 2), "in_proj_bias", (12,), "bias"),
    (Holder(), "q_bias", (4,), "bias"),
    (Holder(), "unbiased", (4, 4), "weight"),
    (Holder(), "matrix", (4, 4), "weight"),
    (Holder(), "column", (4, 1), "scale"),
    (Holder(), "token", (1, 3, 4), "scale"),
    (Holder(), "gamma", (4,), "scale"),
    (Holder(), "tau", (), "scale"),
    (BlockNorm1d(), "gamma", (4, 4), "norm"),
    (BlockNorm1d(), "bias", (4,), "bias"),
    (nn.RMSNorm([2, 4]), "weight", (2, 4), "norm"),
    (nn.SyncBatchNorm(4), "weight", (4,), "norm"),
    (NormedHead(), "matrix", (4, 4), "weight"),
    (EmaNormalizedLayer(), "matrix", (4, 4), "weight"),
]


@pytest.mark.parametrize(
    ("owner", "key", "shape", "role"), CASES, ids=[f"{type(o).__name__}.{k}-{s}" for o, k, s, _ in CASES]
)
def test_role(owner: nn.Module, key: str, shape: tuple[int, ...], role: Role) -> None:
    assert role_of(owner, key, torch.zeros(shape)) == role


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
def test_gains_of_weight_norm_are_scales_and_directions_weights() -> None:
    old = nn.utils.weight_norm(nn.Linear(4, 4))
    assert role_of(old, "weight_g", old.weight_g) == "scale"  # type: ignore[arg-type]
    assert role_of(old, "weight_v", old.weight_v) == "weight"  # type: ignore[arg-type]


def test_parametrised_tensors_keep_the_role_of_the_tensor() -> None:
    model = nn.Module()
    model.wide = nn.utils.parametrizations.weight_norm(nn.Linear(6, 1))
    model.table = nn.utils.parametrizations.spectral_norm(nn.Embedding(5, 3))
    model.flat = nn.utils.parametrizations.orthogonal(nn.Linear(4, 4))
    model.gate = nn.utils.parametrizations.weight_norm(nn.Linear(3, 3), name="bias", dim=None)
    rows = param_groups(model, lr=1.0, weight_decay=0.0).rows
    assert {name.replace(".parametrizations", ""): row.role for name, row in rows.items()} == {
        "wide.bias": "bias",
        "wide.weight.original0": "scale",
        "wide.weight.original1": "weight",
        "table.weight.original": "embedding",
        "flat.bias": "bias",
        "flat.weight.original": "weight",
        "gate.weight": "weight",
        "gate.bias.original0": "scale",
        "gate.bias.original1": "bias",
    }

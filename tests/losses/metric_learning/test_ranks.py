"""Losses that look beyond the sums of their rank: value and merged gradient are those of one process."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dltools.losses import (
    ArcFaceLossCfg,
    BCELossCfg,
    CELossCfg,
    Combine,
    CombineCfg,
    ContrastiveLossCfg,
    CTCLossCfg,
    DiceLossCfg,
    EmaNormCfg,
    EmbeddingLoss,
    EmbeddingLossCfg,
    GaussianNLLLossCfg,
    HardestPixelsLossCfg,
    LossCfg,
    MultiSimilarityLossCfg,
    NTXentLossCfg,
    SupConLossCfg,
    TripletLossCfg,
    UncertaintyCfg,
    from_module,
    pcgrad,
)
from tests.distributed.calls import Calls
from tests.distributed.spawn import run_ranks
from tests.losses import reference as ref

SHARDS = ([5, 3], [1, 7, 0])
"""Samples of each rank."""


class ScaledLossCfg(EmbeddingLossCfg["ScaledLoss"]):
    pass


class ScaledLoss(EmbeddingLoss[ScaledLossCfg]):
    """Compares samples by a parameter of its own."""

    def setup(self) -> None:
        self.scale: nn.Parameter = nn.Parameter(torch.linspace(0.5, 1.5, 4, dtype=torch.float64))

    def terms(self, x: Tensor, labels: Tensor) -> Tensor:
        x = x * self.scale
        return torch.where(labels.unsqueeze(1) == labels, (x.unsqueeze(1) - x).square().sum(2), 0).sum(1)


EMBEDDINGS: dict[str, EmbeddingLossCfg[Any]] = {
    "triplet": TripletLossCfg(mining="hard", margin=1.0),
    "all": TripletLossCfg(mining="all", margin=1.0),
    "contrastive": ContrastiveLossCfg(margin=3.0),
    "nt_xent": NTXentLossCfg(temperature=0.5, reduction="sum"),
    "sup_con": SupConLossCfg(temperature=0.5),
    "multi": MultiSimilarityLossCfg(),
    "arc": ArcFaceLossCfg(num_classes=4, dim=4, scale=4.0),
    "own": ScaledLossCfg(),
}
TERMS: dict[str, LossCfg[Any]] = {
    "ce": CELossCfg(),
    "dice": DiceLossCfg(),
    "hard": HardestPixelsLossCfg(share=0.3),
}
OTHERS: dict[str, LossCfg[Any]] = {
    "hard": HardestPixelsLossCfg(share=0.3),
    "hard weighted": HardestPixelsLossCfg(loss=CELossCfg(class_weights=(1.0, 2.0, 0.5)), share=0.3),
    "gaussian": GaussianNLLLossCfg(),
    "sequences": CTCLossCfg(),
    "uncertainty": CombineCfg(terms=TERMS, balance=UncertaintyCfg(), weights={"dice": 2.0}),
    "averages": CombineCfg(terms=TERMS, balance=EmaNormCfg()),
    "mixed": CombineCfg(
        terms={"sup": SupConLossCfg(), "bce": BCELossCfg(task="multilabel")},
        routes={"sup": ("x", "y"), "bce": ("x", "z")},
        balance=UncertaintyCfg(),
    ),
}


def given(name: str, size: int = 8) -> tuple[Any, Any]:
    """Predictions and targets of all ranks together."""
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(size, 4, generator=generator, dtype=torch.float64)
    y = torch.tensor([0, 1, 0, 1, 2, -1, 2, 0])
    if name in EMBEDDINGS:
        return x, y
    if name == "gaussian":
        return {"mean": x, "var": x.square() + 0.1}, x.flip(0)
    if name == "mixed":
        return {"x": x}, {"y": y, "z": (x.flip(1) > 0).long()}
    pred, target = ref.batch(4, size, 3, 6)
    return (pred, target[:, :2]) if name == "sequences" else (pred, target)


def each(change: Any, tree: Any) -> Any:
    return {key: change(x) for key, x in tree.items()} if isinstance(tree, dict) else change(tree)


def run(name: str, sync: Any, pred: Any, target: Any) -> dict[str, Tensor]:
    """Value and gradients: by a scale that all samples pass, and by what the loss has learned."""
    scale = torch.linspace(0.5, 1.5, 3, dtype=torch.float64).requires_grad_()
    loss = (EMBEDDINGS | OTHERS)[name].replace(sync=sync).build().double()
    if isinstance(loss, Combine) and isinstance(loss.cfg.balance, UncertaintyCfg):
        torch.nn.init.constant_(loss.get_parameter("balance.log_var"), 0.3)
    value = loss(each(lambda x: x * scale[:1] + scale[1] * x.sin() + scale[2] * x.square(), pred), target)
    value.backward()
    learned = {key: p.grad for key, p in loss.named_parameters() if p.grad is not None}
    assert scale.grad is not None
    return {"value": value.detach(), "slope": scale.grad, **learned}


def merge(found: dict[str, Tensor], how: str) -> dict[str, Tensor]:
    merged = {"value": found["value"]}
    for key, x in found.items():
        if key != "value":
            total = x.clone()
            torch.distributed.all_reduce(total)
            merged[key] = total / torch.distributed.get_world_size() if how == "mean" else total
    return merged


def synced(rank: int, shards: list[int]) -> dict[Any, Any]:
    out: dict[Any, Any] = {}
    for name in (*EMBEDDINGS, *OTHERS):
        pred, target = (each(lambda x: x.split(shards)[rank], tree) for tree in given(name))
        for how in ("mean", "sum"):
            out[name, how] = merge(run(name, how, pred, target), how)
    for name in ("sup_con", "arc", "hard"):
        pred, target = (each(lambda x: x.split(shards)[rank], tree) for tree in given(name))
        loss = (EMBEDDINGS | OTHERS)[name].replace(sync="mean").build()
        with Calls() as forward:
            value = loss(pred.requires_grad_(), target)
        with Calls() as backward:
            value.backward()
        out["calls", name] = forward.names, backward.names
    out["pcgrad"] = projected("mean", *(each(lambda x: x.split(shards)[rank], tree) for tree in given("dice")))
    rows = torch.arange(24.0).view(8, 3).split(shards)[rank]
    out["module"] = from_module(nn.MSELoss(), sync="mean")(rows, torch.zeros_like(rows))
    return out


def projected(sync: Any, pred: Tensor, target: Tensor) -> Tensor:
    scale = torch.linspace(-2.0, 2.0, 3, dtype=torch.float64).view(1, 3, 1).requires_grad_()
    combined = CombineCfg(terms={"a": CELossCfg(), "b": DiceLossCfg(ignore_index=0)}, sync=sync).build()
    found = combined.losses(pred * scale, target)
    pcgrad({"a": found["a"], "b": -found["b"]}, [scale], sync=sync)
    assert scale.grad is not None
    return scale.grad


@pytest.fixture(scope="module", params=SHARDS, ids=str)
def ranks(request: Any) -> list[dict[Any, Any]]:
    return run_ranks(synced, len(request.param), request.param)


@pytest.mark.parametrize("name", [*EMBEDDINGS, *OTHERS])
def test_value_and_merged_gradient_are_those_of_one_process(ranks: Any, name: str) -> None:
    expected = run(name, "none", *given(name))
    assert expected["slope"].abs().max() > 1e-3
    assert len(expected) == 2 + (name in ("arc", "own", "uncertainty", "mixed"))
    for out in ranks:
        for how in ("mean", "sum"):
            torch.testing.assert_close(out[name, how], expected, rtol=1e-9, atol=1e-12)


def test_collectives_are_few_and_all_forward(ranks: Any) -> None:
    for out in ranks:
        assert out["calls", "sup_con"] == (["all_gather", "all_gather", "all_reduce"], [])
        assert out["calls", "arc"] == (["all_reduce"], [])
        assert out["calls", "hard"] == (["all_reduce"] * 3, [])


def test_projected_gradients_and_modules_of_all_ranks(ranks: Any) -> None:
    expected = projected("none", *given("dice"))
    for out in ranks:
        torch.testing.assert_close(out["pcgrad"], expected, rtol=1e-9, atol=1e-12)
        assert out["module"].item() == pytest.approx(sum(n * n for n in range(24)) / 24)

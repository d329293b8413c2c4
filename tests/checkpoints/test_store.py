"""Which checkpoints there are, which stay, and how parts come back."""

from __future__ import annotations

import copy
import math
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from dltools.checkpoints import Ref, Store
from dltools.errors import CheckpointError, ConfigError
from dltools.meters import Report
from dltools.metrics import TargetCfg
from dltools.optim import AdamWCfg
from tests.checkpoints.boxes import Box, store_in

ACC = TargetCfg(expr="val/acc", mode="max")


def steps(store: Store) -> list[int]:
    return [ref.step for ref in store.refs()]


def test_a_checkpoint_is_found_in_every_way(tmp_path: Path) -> None:
    store = store_in(tmp_path / "a" / "b", target=ACC)
    refs = [store.save({"box": Box(i)}, step=i, metrics={"val/acc": -abs(i - 1)}) for i in range(3)]
    assert store.newest() == refs[2]
    assert store.best() == refs[1]
    ways: list[tuple[Ref | str | Path, int]] = [
        *(("newest", 2), ("best", 1), ("step:0", 0), (refs[1], 1), (refs[1].path, 1), (str(refs[0].path), 0)),
        (refs[2].path.name, 2),
    ]
    for ref, step in ways:
        loaded = store.load(ref)
        assert (loaded.step, loaded.parts["box"]["value"], loaded.ref.step) == (step, step, step)
    assert os.fspath(refs[0]) == str(refs[0].path)
    assert refs[0].path.name.startswith("step-00000000-")
    assert sorted(path.name for path in refs[0].path.iterdir()) == [
        *("MANIFEST.json", "card.json", "state.json", "state.safetensors", "weights.safetensors"),
    ]
    assert Store(root=tmp_path / "a" / "b").refs() == refs


def test_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    with pytest.raises(CheckpointError, match="has no checkpoint"):
        store.load()
    assert store.newest() is None
    with pytest.raises(ConfigError, match="no target"):
        store.best()
    store.save({"box": Box(1)}, step=3)
    with pytest.raises(CheckpointError, match=r"'step:4'.*steps 3"):
        store.load("step:4")
    with pytest.raises(CheckpointError, match="is no directory"):
        store.load("stp:4")
    with pytest.raises(CheckpointError, match=r"no part 'bix'.*did you mean 'box'"):
        store.load(into={"bix": Box()})
    judged = store_in(tmp_path, target=ACC)
    assert judged.best() is None
    with pytest.raises(CheckpointError, match="metrics of the target"):
        judged.load("best")


def test_mistakes_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    store = store_in(tmp_path, target=TargetCfg(expr="acc"))
    for step in (-1, True, 1.0, 10**18):
        with pytest.raises(ConfigError, match="step is"):
            store.save({}, step=step)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="part 'x' is a int"):
        store.save({"x": 3}, step=1)  # type: ignore[dict-item]
    with pytest.raises(ConfigError, match="metric 'acc' is 'high'"):
        store.save({}, step=1, metrics={"acc": "high"})  # type: ignore[dict-item]
    with pytest.raises(ConfigError, match="direction"):
        store.save({}, step=1, metrics={"acc": 1.0})
    assert list(tmp_path.iterdir()) == []


def test_the_last_and_the_best_stay(tmp_path: Path) -> None:
    store = store_in(tmp_path, keep_last=2, keep_best=2, target=ACC)
    for step, acc in enumerate([0.1, 0.9, 0.9, 0.2, 0.95, 0.3, 0.4]):
        store.save({"box": Box(step)}, step=step, metrics={"val/acc": acc})
    assert steps(store) == [1, 4, 5, 6]
    assert store_in(tmp_path, keep_last=1, keep_best=1, target=ACC).save({}, step=7).step == 7
    assert steps(store) == [4, 7]


def test_metrics_keep_direction_and_what_is_not_finite_is_never_best(tmp_path: Path) -> None:
    store = store_in(tmp_path, keep_last=9, target=TargetCfg(expr="val/acc"))
    for step, acc in enumerate([0.5, math.nan, math.inf, 0.7, 0.6]):
        report = Report({"val/acc": acc, "val/loss": -math.inf}, higher={"val/acc": True, "val/loss": False})
        store.save({}, step=step, metrics=report, tags=("a", "é; DROP TABLE"))
    best = store.best()
    assert best is not None
    assert (best.step, best.tags, dict(best.metrics)) == (
        3,
        ("a", "é; DROP TABLE"),
        {"val/acc": 0.7, "val/loss": -math.inf},
    )
    assert best.metrics.higher == {"val/acc": True, "val/loss": False}
    assert math.isnan(store.refs()[1].metrics["val/acc"])


def test_of_one_step_the_later_is_newer(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    for value in ("a", "b", "c"):
        store.save({"box": Box(value)}, step=5)
        assert store.load("step:5").parts["box"]["value"] == store.load().parts["box"]["value"] == value


def test_a_new_checkpoint_of_a_lower_step_stays(tmp_path: Path) -> None:
    store = store_in(tmp_path, keep_last=1)
    store.save({}, step=9)
    assert store.save({}, step=4).path.exists()
    assert steps(store) == [4, 9]
    store.save({}, step=5)
    assert steps(store) == [5, 9]


def test_a_store_pickles_as_its_config(tmp_path: Path) -> None:
    store = store_in(tmp_path, target=ACC)
    for again in (pickle.loads(pickle.dumps(store)), copy.deepcopy(store)):
        assert again.cfg == store.cfg
    assert not (tmp_path / "never").exists()
    store_in(tmp_path / "never")
    assert not (tmp_path / "never").exists()


def test_a_full_disk_is_told_before_it_is_full(tmp_path: Path) -> None:
    store = store_in(tmp_path, min_free_gb=1e9)
    with pytest.raises(CheckpointError, match=r"must stay free; \d+ bytes are needed, \d+ are free") as caught:
        store.save({"box": Box(torch.zeros(1000))}, step=1)
    assert isinstance(caught.value.__cause__, OSError)
    assert list(tmp_path.iterdir()) == []


class Net(nn.Module):
    """Has a submodule that is really called ``module``, and two names for one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.module = nn.Linear(3, 3, bias=False)
        self.norm = nn.BatchNorm1d(3)
        self.tied = self.module

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.tied(self.norm(self.module(x)))
        return out


NAMES = [
    *("module.weight", "norm.weight", "norm.bias", "norm.running_mean"),
    "norm.running_var",
    "norm.num_batches_tracked",
]


@pytest.mark.parametrize("wrap", ["none", "compile", "parallel", "both", "inside"])
def test_names_are_those_without_wrappers(wrap: str, tmp_path: Path) -> None:
    def wrapped(net: nn.Module) -> nn.Module:
        if wrap == "inside":
            net.norm = nn.DataParallel(net.norm)
            net.module = net.tied = torch.compile(net.module, backend="eager")
        if wrap in ("compile", "both"):
            net = torch.compile(net, backend="eager")
        return nn.DataParallel(net) if wrap in ("parallel", "both") else net

    plain, net = Net(), wrapped(Net())
    ref = store_in(tmp_path).save({"model": net}, step=1)
    assert list(store_in(tmp_path).load().parts["model"]) == [*NAMES, "tied.weight"]
    store_in(tmp_path).load(ref, into={"model": plain})
    other = wrapped(Net())
    store_in(tmp_path).load(ref, into={"model": other})
    for loaded in (plain, other):
        assert all(
            torch.equal(a, b) for a, b in zip(loaded.state_dict().values(), net.state_dict().values(), strict=True)
        )


def train(net: nn.Module, optimizer: torch.optim.Optimizer, num_steps: int = 2) -> None:
    torch.manual_seed(0)
    for _ in range(num_steps):
        net(torch.randn(4, 3)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()


def test_optimizers_are_saved_by_name_and_groups_may_be_in_any_order(tmp_path: Path) -> None:
    def groups(net: Net, *, reverse: bool) -> list[dict[str, Any]]:
        found = [{"params": [net.module.weight], "lr": 0.1}, {"params": [net.norm.weight, net.norm.bias], "lr": 0.2}]
        return [{**g, "params": g["params"][::-1]} for g in found[::-1]] if reverse else found

    net, other = Net(), Net()
    optimizer = torch.optim.AdamW(groups(net, reverse=False))
    train(net, optimizer)
    store = store_in(tmp_path)
    store.save({"model": net, "optim": optimizer}, step=1)
    saved = store.load().parts["optim"]
    assert [group["params"] for group in saved["param_groups"]] == [["module.weight"], ["norm.weight", "norm.bias"]]
    assert set(saved["state"]) == {"module.weight", "norm.weight", "norm.bias"}
    again = torch.optim.AdamW(groups(other, reverse=True))
    store.load(into={"optim": again, "model": other})
    assert [group["lr"] for group in again.param_groups] == [0.2, 0.1]
    train(net, optimizer)
    train(other, again)
    assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), other.state_dict().values(), strict=True))


def test_optimizers_whose_groups_do_not_fit_change_nothing(tmp_path: Path) -> None:
    net = Net()
    store = store_in(tmp_path)
    store.save({"model": net, "optim": AdamWCfg(lr=0.1).build(net)}, step=1)
    other = Net()
    before = copy.deepcopy(other.state_dict())
    with pytest.raises(CheckpointError, match="has 1 groups. Expected 2, as saved"):
        store.load(into={"model": other, "optim": torch.optim.AdamW([other.module.weight])})
    with pytest.raises(CheckpointError, match="no saved group has exactly the parameters module.weight, norm.weight"):
        store.load(into={"model": other, "optim": torch.optim.AdamW(other.parameters())})
    with pytest.raises(CheckpointError, match="restore 'model' beside it"):
        store.load(into={"optim": torch.optim.AdamW(other.parameters())})
    assert all(torch.equal(x, before[name]) for name, x in other.state_dict().items())


def test_without_a_model_an_optimizer_is_saved_as_torch_does(tmp_path: Path) -> None:
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
    train(net, optimizer)
    store_in(tmp_path).save({"optim": optimizer}, step=1)
    again = torch.optim.SGD(net.parameters(), 0.2, momentum=0.9)
    store_in(tmp_path).load(into={"optim": again})
    assert again.param_groups[0]["lr"] == 0.1
    assert list(again.state_dict()["state"]) == [0, 1, 2]

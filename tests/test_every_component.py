"""What holds for every component: one that is added gets these tests for no line of its own."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import importlib
import inspect
import math
import pathlib
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_leaves, tree_map_only, tree_unflatten

from dltools._catalog import KINDS
from dltools.cfgutils import Config, Record, dump, fingerprint, load, schema
from dltools.cfgutils.config import tags
from dltools.errors import ConfigError
from dltools.losses import LossCfg
from dltools.metrics.classification.confusion import ConfusionMetricCfg
from tests.hostreads import count_host_reads
from tests.losses.scenes import labels, scene
from tests.strategies import configs, example, subclasses


def every_record() -> list[type[Record]]:
    """Each config and record of dltools that can be made."""
    for area in KINDS:
        package = importlib.import_module(f"dltools.{area}")
        for name in package.__all__:
            getattr(package, name)
    below = [cls for cls in subclasses(Record) if cls.__module__.startswith("dltools.")]
    found = {cls for cls in below if not issubclass(cls, Config) or cls.tag}
    return sorted(found, key=lambda cls: (cls.__module__, cls.__name__))


RECORDS = every_record()
CONFIGS: list[type[Config[Any]]] = [cls for cls in RECORDS if issubclass(cls, Config)]
NAMES = vars(pathlib) | {cls.__name__: cls for cls in RECORDS}
"""What the source that a repr is may mention."""


def name(cls: type[Any]) -> str:
    return cls.__name__


def takes_nothing(cls: type[Config[Any]]) -> bool:
    return list(inspect.signature(vars(_builder(cls))["build"]).parameters) == ["self"]


def _builder(cls: type[Any]) -> type[Any]:
    return next(base for base in cls.__mro__ if "build" in vars(base))


records = pytest.mark.parametrize("cls", RECORDS, ids=name)
cases = pytest.mark.parametrize("cls", CONFIGS, ids=name)
built = pytest.mark.parametrize("cls", [cls for cls in CONFIGS if takes_nothing(cls)], ids=name)


@pytest.fixture
def keep(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Any], Any]]:
    """A function to pass components through: their files stay in a folder of the test, and they are closed there."""
    monkeypatch.chdir(tmp_path)
    with contextlib.ExitStack() as stack:
        yield lambda made: stack.enter_context(contextlib.closing(made)) if hasattr(made, "close") else made


def test_there_are_components_in_every_area() -> None:
    assert {cls.__module__.split(".")[1] for cls in CONFIGS} >= set(KINDS)


@records
@settings(max_examples=8)
@given(data=st.data())
def test_any_config_is_the_same_after_every_journey(cls: type[Record], data: st.DataObject) -> None:
    cfg = data.draw(configs(cls))
    assert load(cls, dump(cfg)) == cfg
    assert load(cls, dump(cfg, "json")) == cfg
    assert eval(repr(cfg), NAMES) == cfg
    for copied in (copy.deepcopy(cfg), pickle.loads(pickle.dumps(cfg)), cfg.replace()):
        assert (copied, hash(copied), fingerprint(copied)) == (cfg, hash(cfg), fingerprint(cfg))


@cases
def test_a_config_of_defaults_says_only_its_name(cls: type[Config[Any]]) -> None:
    cfg = example(cls)
    assert load(cls, dump(cfg)) == load(cls, dump(cfg, "json")) == cfg
    assert eval(repr(cfg), NAMES) == cfg
    assert not cfg.is_open


@cases
def test_a_config_is_documented_and_has_a_schema(cls: type[Config[Any]]) -> None:
    product = example(cls).product()
    assert inspect.getdoc(product) or inspect.getdoc(cls)
    assert cls.__name__ in schema(cls)["$defs"]
    assert cls.tag in tags(cls)


@built
def test_a_component_reads_back_from_its_repr(cls: type[Config[Any]], keep: Callable[[Any], Any]) -> None:
    made = keep(example(cls).build())  # type: ignore[attr-defined]
    again = keep(eval(repr(made), NAMES | {type(made).__name__: type(made)}))
    assert (type(again), again.cfg, repr(again)) == (type(made), made.cfg, repr(made))
    assert type(keep(copy.deepcopy(made))) is type(made)


@built
def test_a_component_goes_on_from_its_state(cls: type[Config[Any]], keep: Callable[[Any], Any]) -> None:
    made, other = (keep(example(cls).build()) for _ in range(2))  # type: ignore[attr-defined]
    if not hasattr(made, "state_dict"):
        pytest.skip("it has no state")
    state = made.state_dict()
    other.load_state_dict(copy.deepcopy(state))
    torch.testing.assert_close(other.state_dict(), state, rtol=0, atol=0)


def tasks(cls: type[Config[Any]]) -> list[str]:
    """The tasks that a loss or metric can be configured for, the default first."""
    found = []
    for task in ("multiclass", "multilabel", "binary"):
        with contextlib.suppress(ConfigError):
            found.append(example(cls).replace(task=task).task)  # type: ignore[attr-defined]
    return found or ["multiclass"]


def of_task(cls: type[Config[Any]], task: str, **changes: Any) -> Any:
    fields = {field.name for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    changes |= {"task": task, "holds": "logits", "num_classes": 2 if task == "binary" else 3}
    return example(cls).replace(**{name: value for name, value in changes.items() if name in fields}).build()


def pairs(family: type[Config[Any]], most: int | None = None) -> pytest.MarkDecorator:
    found = [(cls, task) for cls in CONFIGS if issubclass(cls, family) for task in tasks(cls)[:most]]
    return pytest.mark.parametrize(("cls", "task"), found, ids=lambda x: x if isinstance(x, str) else name(x))


losses, metrics = pairs(LossCfg), pairs(ConfusionMetricCfg)
each_loss, each_metric = pairs(LossCfg, 1), pairs(ConfusionMetricCfg, 1)


def each(change: Callable[[Tensor], Tensor], *trees: Any) -> Any:
    """The same change of all tensors in predictions and targets."""
    return [tree_map_only(Tensor, change, tree) for tree in trees]


@losses
def test_a_loss_of_half_precision_is_that_of_the_same_numbers(cls: type[Config[Any]], task: str) -> None:
    pred, target, *_ = scene(cls, task)
    half, double = each(Tensor.bfloat16, pred)[0], each(lambda x: x.bfloat16().double(), pred)[0]
    exact = of_task(cls, task)(double, target)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = of_task(cls, task)(half, target)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss.double(), exact, rtol=1e-5, atol=1e-6)


@losses
@pytest.mark.parametrize("what", ["no sample", "no pixel", "all masked", "all ignored"])
def test_a_loss_of_nothing_is_zero_with_zero_gradients(cls: type[Config[Any]], task: str, what: str) -> None:
    pred, target, mask, pixels = scene(cls, task)
    terms = {name: {"type": one.tag, "ignore_index": 7} for name, one in _terms(cls).items()}
    if what == "no sample":
        pred, target = each(lambda x: x[:0], pred, target)
    if what == "no pixel":
        if not pixels:
            pytest.skip("it has no pixels that may be none")
        pred, target = pred[..., :0], target[..., :0]
    if what == "all ignored":
        if not terms and not hasattr(example(cls), "ignore_index"):
            pytest.skip("it ignores no label")
        target = torch.full_like(target, 7)
    (pred,) = each(Tensor.requires_grad_, pred)
    extra = {"mask": mask} if what == "all masked" else {}
    loss = of_task(cls, task, ignore_index=7, terms=terms)(pred, target, **extra)
    loss.backward()
    assert loss.item() == 0
    for leaf in tree_leaves(pred):
        assert leaf.grad is not None
        assert not leaf.grad.any()


def _terms(cls: type[Config[Any]]) -> Any:
    return getattr(example(cls), "terms", {})


@losses
def test_a_loss_has_the_gradient_of_its_value(cls: type[Config[Any]], task: str) -> None:
    pred, target, *_ = scene(cls, task, torch.float64)
    loss, (leaves, spec) = of_task(cls, task), tree_flatten(each(Tensor.requires_grad_, pred)[0])
    assert torch.autograd.gradcheck(lambda *xs: loss(tree_unflatten(xs, spec), target), leaves)


@losses
def test_a_loss_reads_nothing_from_the_device(cls: type[Config[Any]], task: str) -> None:
    pred, target, *_ = scene(cls, task)
    loss = of_task(cls, task)
    with count_host_reads() as reads:
        loss(each(Tensor.requires_grad_, pred)[0], target).backward()
    assert reads.count == 0


@each_loss
def test_a_loss_compiles_whole(cls: type[Config[Any]], task: str) -> None:
    pred, target, *_ = scene(cls, task, torch.float64)
    loss, other = of_task(cls, task), of_task(cls, task)
    torch.compiler.reset()
    compiled = torch.compile(other, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(pred, target), loss(pred, target))
    torch.testing.assert_close(other.states.state_dict(), loss.states.state_dict())


@metrics
def test_a_metric_counts_without_a_device(cls: type[Config[Any]], task: str) -> None:
    pred, target = labels(task)
    counted, nowhere = of_task(cls, task), of_task(cls, task)
    with count_host_reads() as reads:
        counted.update(pred, target)
    assert reads.count == 0
    nowhere.update(pred.to("meta"), target.to("meta"))
    assert nowhere.states.device.type == "meta"


@each_metric
def test_a_metric_compiles_whole_and_goes_on_from_its_state(cls: type[Config[Any]], task: str) -> None:
    pred, target = labels(task)
    counted, loaded, compiled = of_task(cls, task), of_task(cls, task), of_task(cls, task)
    counted.update(pred, target)
    loaded.load_state_dict(counted.state_dict())
    torch.compiler.reset()
    torch.compile(compiled.update, fullgraph=True, backend="eager")(pred, target)
    for other in (loaded, compiled):
        torch.testing.assert_close(dict(other.compute()), dict(counted.compute()), rtol=0, atol=0, equal_nan=True)


@metrics
@pytest.mark.parametrize("what", ["no update", "no sample", "all excluded", "all ignored"])
def test_a_metric_of_nothing_is_nan_of_zero(cls: type[Config[Any]], task: str, what: str) -> None:
    pred, target = labels(task)
    metric = of_task(cls, task, ignore_index=7)
    if what == "no sample":
        metric.update(pred[:0], target[:0])
    if what == "all excluded":
        metric.update(pred, target, valid=torch.zeros(2, dtype=torch.bool))
    if what == "all ignored":
        metric.update(pred, torch.full_like(target, 7))
    report = metric.compute()
    for key, value in report.items():
        assert math.isnan(value), key
        assert report.n[key] == 0

"""Mistakes are told with what was given, what is legal and one fix."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from dltools.errors import ConfigError, ShapeError
from dltools.functional import hard_counts
from dltools.losses import (
    CELoss,
    CELossCfg,
    CombineCfg,
    DiceLoss,
    DiceLossCfg,
    FocalLossCfg,
    PiecewiseWeightCfg,
    TverskyLossCfg,
)

INT, FLOAT = torch.int64, torch.float32
SHAPES: list[tuple[str, Any, Any, Any, Any, str]] = [
    ("multiclass", (2, 3, 4), FLOAT, (2, 3, 4), INT, "argmax(1) if it is one-hot"),
    ("multiclass", (2, 3, 4), FLOAT, (2, 1, 4), INT, "target.squeeze(1)"),
    ("multiclass", (2, 3, 4), FLOAT, (2, 5), INT, "make the sizes of samples and pixels equal"),
    ("multiclass", (2, 3, 4), FLOAT, (3, 4), INT, "make the sizes of samples and pixels equal"),
    ("multiclass", (2, 3, 4), FLOAT, (2, 4), FLOAT, "target.long() if it holds class indices"),
    ("multiclass", (2, 1, 4), FLOAT, (2, 4), INT, "task='binary' for one channel"),
    ("multiclass", (2, 1, 4), FLOAT, (2, 1, 4), FLOAT, "task='binary' for one channel"),
    ("multiclass", (2, 1, 4), FLOAT, (2, 1, 4), INT, "argmax(1) if it is one-hot, or task='multilabel'"),
    ("multiclass", (2, 3, 4), INT, (2, 4), INT, "pred holds logits or probabilities: floats"),
    ("multiclass", (3,), FLOAT, (), INT, "the dimension of the samples in front"),
    ("multilabel", (2, 3, 4), FLOAT, (2, 4), INT, "task='multiclass' if target holds class indices"),
    ("multilabel", (2, 3, 4), FLOAT, (2, 4, 3), FLOAT, "equal shapes"),
    ("binary", (2, 3, 4), FLOAT, (2, 4), INT, "task='multiclass' if target holds class indices"),
    ("binary", (), FLOAT, (), INT, "the dimension of the samples in front"),
]


@pytest.mark.parametrize(("task", "pred", "p", "target", "t", "fix"), SHAPES)
def test_shapes_that_do_not_fit(task: str, pred: Any, p: Any, target: Any, t: Any, fix: str) -> None:
    for loss in (CELoss(task=task), DiceLoss(task=task)):
        with pytest.raises(ShapeError) as caught:
            loss(torch.zeros(pred, dtype=p), torch.zeros(target, dtype=t))
        text = str(caught.value)
        names = {INT: "int64", FLOAT: "float32"}
        assert f"pred {pred} {names[p]}, target {target} {names[t]}, task {task}" in text
        assert "Expected pred" in text
        assert fix in text


def test_masks_and_weights_that_do_not_fit() -> None:
    pred, target = torch.zeros(2, 3, 4, 5), torch.zeros(2, 4, 5, dtype=INT)
    for name in ("mask", "weight_map"):
        for shape in ((2, 4), (2, 5, 4), (2, 3, 4, 5), (4, 5)):
            with pytest.raises(ShapeError) as caught:
                CELoss()(pred, target, **{name: torch.ones(shape)})
            assert f"{name} {shape} float32. Expected {name} (2, 4, 5) or (2, 1, 4, 5). Hint:" in str(caught.value)
        with pytest.raises(ShapeError, match=r"\(2, 4, 5\) or \(2, 1, 4, 5\) or \(2, 3, 4, 5\)"):
            CELoss(task="multilabel")(pred, pred, **{name: torch.ones(2, 2, 4, 5)})


def test_weights_and_classes_that_do_not_fit() -> None:
    pred, target = torch.zeros(2, 3, 4), torch.zeros(2, 4, dtype=INT)
    with pytest.raises(ShapeError, match=r"2 class_weights for pred \(2, 3, 4\), task multiclass. Expected 3 of them"):
        CELoss(class_weights=(1.0, 2.0))(pred, target)
    with pytest.raises(ShapeError, match=r"classes \(0, 3\) for pred \(2, 3, 4\), .* Expected classes below 3"):
        DiceLoss(classes=(0, 3))(pred, target)


def test_what_is_no_tensor() -> None:
    x = torch.zeros(2, 3, 4)
    for pred, text in (({"out": x, "aux": x}, "pred is a dict with out, aux"), ([x], "pred is a list"), (None, "None")):
        with pytest.raises(ShapeError, match=text):
            CELoss()(pred, torch.zeros(2, 4, dtype=INT))
    with pytest.raises(ShapeError, match="mask is a dict with y.*Combine has routes"):
        CELoss()(x, torch.zeros(2, 4, dtype=INT), mask={"y": x})


def test_hard_counts_refuse_scores() -> None:
    with pytest.raises(ShapeError, match=r"pred \(2, 3, 4\) float32, target \(2, 4\) int64.*pred.argmax\(1\)"):
        hard_counts(torch.zeros(2, 3, 4), torch.zeros(2, 4, dtype=INT), num_classes=3)
    with pytest.raises(ShapeError, match="num_classes 3. Expected num_classes=2"):
        hard_counts(torch.zeros(2, 2, 4, dtype=INT), torch.zeros(2, 2, 4, dtype=INT), num_classes=3, task="multilabel")


CONFIGS: list[tuple[Any, dict[str, Any], str]] = [
    (CELossCfg, {"class_weights": ()}, "a number >= 0 for each class"),
    (CELossCfg, {"class_weights": (1.0, -1.0)}, "a number >= 0 for each class"),
    (CELossCfg, {"label_smoothing": 1.5}, "label_smoothing"),
    (CELossCfg, {"reduction": "none", "sync": "mean"}, "a loss with one value to merge"),
    (CELossCfg, {"taks": "binary"}, "did you mean 'task'"),
    (DiceLossCfg, {"classes": ()}, "classes is (). Expected a class or more, each once. Hint: None for all"),
    (DiceLossCfg, {"classes": (1, 1)}, "classes is (1, 1). Expected a class or more, each once. Hint: None for all"),
    (DiceLossCfg, {"classes": (-1,)}, "classes"),
    (TverskyLossCfg, {"alpha": -0.1}, "alpha"),
    (FocalLossCfg, {"alpha": 0.25}, "class_weights for a multiclass task"),
    (FocalLossCfg, {"normalizer": "positives"}, "task='binary' or 'multilabel'"),
    (FocalLossCfg, {"gamma": -1.0}, "gamma"),
    (CombineCfg, {"terms": {}}, "at least one term"),
    (CombineCfg, {"terms": {"a": DiceLossCfg()}, "reduction": "none"}, "one value for all"),
    (CombineCfg, {"terms": {"a": DiceLossCfg(reduction="none")}}, "terms.a has reduction='none'"),
    (CombineCfg, {"terms": {"dice": DiceLossCfg()}, "weights": {"dcie": 1.0}}, "did you mean 'dice'"),
    (CombineCfg, {"terms": {"dice": DiceLossCfg()}, "routes": {"x": ("a", "b")}}, "known: dice"),
    (PiecewiseWeightCfg, {"values": (1.0,), "boundaries": (5,)}, "one value more than boundaries"),
    (PiecewiseWeightCfg, {"values": (1.0, 2.0, 3.0), "boundaries": (5, 5)}, "rising boundaries"),
]


@pytest.mark.parametrize(("cls", "fields", "text"), CONFIGS)
def test_configs_that_are_not_legal(cls: Any, fields: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        cls(**fields)
    assert text in str(caught.value)


@pytest.mark.parametrize("name", ["loss", "bad_targets", "keys", "training", "_modules", "", "a.b", "a/b"])
def test_names_that_no_term_may_have(name: str) -> None:
    with pytest.raises(ConfigError, match="is no name for a term"):
        CombineCfg(terms={name: DiceLossCfg()})

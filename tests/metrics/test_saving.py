"""What a metric has counted is saved, loaded, pickled and copied."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch

from dltools.errors import ConfigError
from dltools.metrics import AccuracyCfg, F1Cfg, IoUCfg, Metrics

PRED, TARGET = torch.eye(3), torch.tensor([0, 1, 1])


def three_members() -> Metrics:
    return Metrics({"acc": AccuracyCfg(num_classes=3), "f1": F1Cfg(num_classes=3), "iou": IoUCfg(num_classes=3)})


def test_state_dict_is_plain_and_goes_on(tmp_path: Any) -> None:
    metrics, fresh = three_members(), three_members()
    metrics.update(PRED, TARGET)
    torch.save(metrics.state_dict(), tmp_path / "state.pt")
    fresh.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    whole = three_members()
    for one in (fresh, whole):
        one.update(PRED[:2], TARGET[:2])
    whole.update(PRED, TARGET)
    assert dict(fresh.compute()) == dict(whole.compute())
    fresh.load_state_dict(metrics.full_state_dict())
    assert dict(fresh.compute()) == dict(metrics.compute())
    assert fresh["acc"].states is fresh["f1"].states
    other = Metrics({"acc": AccuracyCfg(num_classes=3, ignore_index=0)})
    with pytest.raises(ConfigError, match=r"the state counts .*ignore_index=None.*Expected .*ignore_index=0"):
        other.load_state_dict(metrics.state_dict())
    with pytest.raises(ConfigError, match=r"one of 4 ranks; there are 1.*full_state_dict"):
        fresh.load_state_dict({**metrics.state_dict(), "world": 4})
    loaded = metrics.state_dict()
    metrics.update(PRED, TARGET)
    assert str(loaded) == str(torch.load(tmp_path / "state.pt", weights_only=True))  # a copy


def test_pickle_and_deepcopy_keep_sharing() -> None:
    metrics = three_members()
    metrics.update(PRED, TARGET)
    for again in (pickle.loads(pickle.dumps(metrics)), copy.deepcopy(metrics)):
        assert again["acc"].states is again["f1"].states is not metrics["acc"].states
        again.update(PRED, TARGET)
        assert again.compute().n["f1"] == 6
        assert dict(again.compute()) == dict(metrics.compute())
    report = metrics.compute()
    again = pickle.loads(pickle.dumps(report))
    assert (dict(again), again.ci("acc")) == (dict(report), report.ci("acc"))

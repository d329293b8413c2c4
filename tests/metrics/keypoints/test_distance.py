"""Distances of key points against loops over samples and points."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dltools.errors import ConfigError, ShapeError
from dltools.metrics import NME, PCK, PCKCfg
from tests.hostreads import count_host_reads


@given(st.integers(0, 10**6), st.sampled_from(["box", "diagonal", (0, 2)]), st.booleans(), st.booleans())
def test_values(seed: int, norm: Any, with_box: bool, hidden: bool) -> None:
    rng = np.random.default_rng(seed)
    target = rng.uniform(0, 10, (6, 4, 2))
    pred = target + rng.normal(0, 2, target.shape)
    visible = rng.random((6, 4)) < 0.6 if hidden else np.ones((6, 4), bool)
    visible[:, [0, 1]] = True
    corners = rng.uniform(0, 5, (6, 2))
    box = np.concatenate([corners, corners + rng.uniform(1, 9, (6, 2))], 1)
    right, wrong, errors = 0, 0, []
    for i in range(6):
        seen = target[i][visible[i]]
        w, h = box[i, 2:] - box[i, :2] if with_box else seen.max(0) - seen.min(0)
        lengths = {"box": (max(w, h), math.sqrt(w * h)), "diagonal": (math.hypot(w, h),) * 2}
        between = float(np.linalg.norm(target[i, 0] - target[i, 2]))
        for_pck, for_nme = lengths[norm] if isinstance(norm, str) else (between, between)
        d = np.linalg.norm(pred[i] - target[i], axis=-1)[visible[i]]
        if norm == (0, 2) and not visible[i, 2]:
            continue
        right += int((d / for_pck <= 0.3).sum())
        wrong += int((d / for_pck > 0.3).sum())
        errors.append((d / for_nme).mean())
    pck, nme = PCK(num_keypoints=4, norm=norm, alpha=0.3), NME(num_keypoints=4, norm=norm)
    given_: dict[str, Any] = {"visible": torch.from_numpy(visible)}
    if with_box:
        given_["box"] = torch.from_numpy(box)
    with count_host_reads() as reads:
        for metric in (pck, nme):
            for part in (slice(0, 2), slice(2, 6)):
                metric.update(
                    torch.from_numpy(pred)[part],
                    torch.from_numpy(target)[part],
                    **{k: x[part] for k, x in given_.items()},
                )
    assert reads.count == 0
    assert pck.compute()["pck"] == pytest.approx(right / (right + wrong), abs=1e-12)
    assert nme.compute()["nme"] == pytest.approx(np.mean(errors), rel=1e-10)
    assert nme.compute().n["nme"] == len(errors)


def test_a_length_is_positive_and_whole_numbers_do_not_wrap() -> None:
    target = torch.tensor([[[5, 5], [200, 7]]], dtype=torch.uint8)
    pck, nme = PCK(num_keypoints=2, alpha=0.05), NME(num_keypoints=2)
    for metric in (pck, nme):
        metric.update(torch.tensor([[[4, 5], [201, 7]]], dtype=torch.uint8), target, box=torch.tensor([[0, 0, 100, 1]]))
    assert pck.compute()["pck"] == 1
    assert nme.compute()["nme"] == pytest.approx(0.1)
    pck.update(target, target, box=torch.tensor([[9, 9, 1, 1]]))
    with pytest.warns(UserWarning, match="2 elements.*positive"):
        assert math.isnan(pck.compute()["pck"])


def test_edges() -> None:
    for metric in (PCK(num_keypoints=2), NME(num_keypoints=2)):
        name = metric.lone_name
        assert math.isnan(metric.compute()[name])
        points = torch.tensor([[[0.0, 0.0], [4.0, 4.0]]]).repeat(3, 1, 1)
        junk = points.clone()
        junk[1:] = math.nan
        metric.update(junk, points, valid=torch.tensor([True, False, False]))
        hidden = torch.tensor([[True, True], [False, False], [False, False]])
        metric.update(junk, points, visible=hidden)
        assert metric.compute()[name] == (1.0 if name == "pck" else 0.0)
        metric.update(points, torch.zeros(3, 2, 2))
        with pytest.warns(UserWarning, match="6 elements.*length"):
            assert math.isnan(metric.compute()[name])


def test_mistakes() -> None:
    with pytest.raises(ShapeError, match=r"pred \(2, 3, 2\), num_keypoints 4"):
        PCK(num_keypoints=4).update(torch.zeros(2, 3, 2), torch.zeros(2, 4, 2))
    with pytest.raises(ShapeError, match=r"box \(2, 2\)"):
        PCK(num_keypoints=4).update(torch.zeros(2, 4, 2), torch.zeros(2, 4, 2), box=torch.zeros(2, 2))
    for norm in ((0, 4), (1, 1)):
        with pytest.raises(ConfigError, match="two different points"):
            PCKCfg(num_keypoints=4, norm=norm)

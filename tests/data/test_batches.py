from __future__ import annotations

from typing import Any, NamedTuple

import torch

from dltools.data.batches import on_tensors, to_device


class Pair(NamedTuple):
    x: Any
    y: Any


def test_tensors_at_any_depth_are_changed_and_nothing_else_is() -> None:
    one = torch.ones(2)
    batch = {"a": [one, (one, "x")], "p": Pair(one, {"n": 3, "none": None}), "s": "text"}
    out = on_tensors(batch, lambda x: x + 1)
    assert out["a"][0].tolist() == out["a"][1][0].tolist() == out["p"].x.tolist() == [2, 2]
    assert isinstance(out["a"][1], tuple)
    assert isinstance(out["p"], Pair)
    assert (out["a"][1][1], out["p"].y, out["s"]) == ("x", {"n": 3, "none": None}, "text")
    assert one.tolist() == [1, 1]


def test_a_batch_moves_to_a_device() -> None:
    batch = to_device({"image": torch.ones(2, 3), "names": ["a", "b"]}, "meta")
    assert batch["image"].device.type == "meta"
    assert batch["image"].shape == (2, 3)
    assert batch["names"] == ["a", "b"]

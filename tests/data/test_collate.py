from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from dltools.data.collate import collate
from dltools.errors import ShapeError

RNG = np.random.default_rng(0)


class Pair(NamedTuple):
    x: Any
    y: Any


@pytest.mark.parametrize(
    ("samples", "dtype"),
    [
        ([1, 2], torch.int64),
        ([1.5, 2.0], torch.float32),
        ([True, False], torch.bool),
        ([1, 2.5], torch.float32),
        ([np.float64(1), np.float64(2)], torch.float64),
        ([np.uint8(1), np.uint8(2)], torch.uint8),
        ([np.bool_(True), np.bool_(False)], torch.bool),
        ([np.zeros(2, np.float16)] * 2, torch.float16),
        ([np.zeros((2, 3), np.int32)] * 2, torch.int32),
        ([np.array(5.0)] * 2, torch.float64),
        ([torch.ones(2, dtype=torch.bfloat16)] * 2, torch.bfloat16),
    ],
)
def test_numbers_arrays_and_tensors_are_stacked(samples: list[Any], dtype: torch.dtype) -> None:
    batch = collate(samples)
    assert batch.dtype == dtype
    assert batch.shape == (2, *np.shape(samples[0]))
    for row, sample in zip(batch, samples, strict=True):
        assert row.tolist() == sample if isinstance(sample, (int, float)) else row.tolist() == sample.tolist()


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1), (4, 5, 3)])
@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_images_get_channels_first_without_a_copy(shape: tuple[int, ...], dtype: type) -> None:
    images = [(RNG.random(shape) * 255).astype(dtype) for _ in range(3)]
    batch = collate([{"image": image} for image in images])["image"]
    channels = shape[2] if len(shape) == 3 else 1
    assert batch.shape == (3, channels, 4, 5)
    for n in range(3):
        for c in range(channels):
            expected = images[n][..., c] if len(shape) == 3 else images[n]
            assert np.array_equal(batch[n, c].numpy(), expected)
    assert channels == 1 or batch.is_contiguous(memory_format=torch.channels_last)


def test_containers_are_joined_by_key_and_by_place() -> None:
    samples = [{"a": (i, [float(i), "x"]), "p": Pair(i, {"z": np.full(2, i)})} for i in range(3)]
    batch = collate(samples)
    assert set(batch) == {"a", "p"}
    first, (second, text) = batch["a"]
    assert isinstance(batch["a"], tuple)
    assert (first.tolist(), second.tolist(), text) == ([0, 1, 2], [0.0, 1.0, 2.0], ["x"] * 3)
    assert isinstance(batch["p"], Pair)
    assert batch["p"].y["z"].tolist() == [[0, 0], [1, 1], [2, 2]]


def test_what_belongs_to_objects_stays_one_tensor_per_sample() -> None:
    samples = [
        {"boxes": np.zeros((n, 4), np.float32), "labels": np.arange(n), "masks": torch.zeros(n, 2, 2)} for n in (2, 0)
    ]
    batch = collate(samples)
    assert [tuple(x.shape) for x in batch["boxes"]] == [(2, 4), (0, 4)]
    assert [x.tolist() for x in batch["labels"]] == [[0, 1], []]
    assert [tuple(x.shape) for x in batch["masks"]] == [(2, 2, 2), (0, 2, 2)]


def test_all_else_becomes_a_list() -> None:
    things: list[Any] = ["a", None, b"b", {1, 2}, np.array(["a", "b"]), np.array([None, 1], dtype=object)]
    for thing in things:
        batch = collate([thing, thing])
        assert isinstance(batch, list)
        assert len(batch) == 2
        assert batch[0] is thing


def test_a_batch_shares_no_memory_with_its_samples() -> None:
    array = np.ones((2, 2, 3), np.float32)
    array.flags.writeable = False
    batch = collate([{"image": array, "boxes": np.ones((1, 4))}])
    batch["image"].zero_()
    batch["boxes"][0].zero_()
    assert (array == 1).all()


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        ([{"a": 1}, {"b": 1}], "keys of the samples"),
        ([{"a": np.zeros(2)}, {"a": np.zeros(3)}], "shapes or dtypes of a"),
        ([{"a": torch.zeros(2)}, {"a": torch.zeros(2, 1)}], "shapes or dtypes of a"),
        ([{"a": np.zeros(2)}, {"a": np.zeros(2, np.float32)}], "shapes or dtypes of a"),
        ([{"a": np.zeros(2)}, {"a": None}], "types of a"),
        ([{"a": None}, {"a": 1}], "types of a"),
        ([{"a": 1}, {"a": "1"}], "types of a"),
        ([(1, 2), (1,)], "lengths of the samples"),
    ],
)
def test_samples_that_do_not_fit_together(samples: list[Any], words: str) -> None:
    with pytest.raises(ShapeError, match=f"{words} differ in a batch: .*number 1"):
        collate(samples)

from __future__ import annotations

import hashlib
import random

import numpy as np
import pytest
import torch

from dltools.rng import Key, key, seeded


def test_a_path_is_an_address() -> None:
    assert key(0, "a", 3) == key(0).fold("a").fold(3) == key(0).fold("a", 3)
    addresses = [
        key(0),
        key(1),
        key(0, 3),
        key(0, "3"),
        key(0, "a", "b"),
        key(0, "ab"),
        key(0, "b", "a"),
        key(-1),
        key(0, -3),
    ]
    assert len(set(addresses)) == len(addresses)
    assert Key.from_hex(key(5, "x").hex()) == key(5, "x")


def test_integers_are_integers_whoever_made_them() -> None:
    assert key(np.int64(4), np.int32(3), True) == key(4, 3, 1)
    for bad in (1.0, None, b"a"):
        with pytest.raises(TypeError):
            key(0).fold(bad)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            key(bad)  # type: ignore[arg-type]


def test_uniforms_are_the_first_53_bits_of_words_of_shake() -> None:
    found = key(0, "u").uniforms(1000)
    stream = hashlib.shake_128(key(0, "u").digest).digest(8000)
    assert found[:2] == [(int.from_bytes(stream[at : at + 8], "little") >> 11) / 2**53 for at in (0, 8)]
    assert found[:3] == key(0, "u").uniforms(3) != key(0, "v").uniforms(3)
    assert all(0 <= x < 1 for x in found)
    assert abs(sum(found) / 1000 - 0.5) < 4 * (1 / 12 / 1000) ** 0.5
    assert key(0).uniforms(0) == []


def test_keys_are_the_same_in_every_version() -> None:
    """Written down, so that a change, which would alter every training, is seen."""
    assert key(0).hex() == "1240a4684403b160e6597a653a88f56c"
    assert key(0, "sample", 1, 2).hex() == "fdc911764534006915bee3307ec7a5b1"


def test_generators_start_at_the_key() -> None:
    at = key(7, "aug")
    assert at.numpy().random(3).tolist() == at.numpy().random(3).tolist() != key(7, "other").numpy().random(3).tolist()
    assert torch.equal(torch.rand(3, generator=at.torch()), torch.rand(3, generator=at.torch()))


def test_first_draws_of_neighbouring_keys_are_uniform() -> None:
    draws = np.array([key(0, "sample", 0, i).numpy().random() for i in range(4000)])
    counts = np.histogram(draws, 10, (0, 1))[0]
    assert ((counts - 400) ** 2 / 400).sum() < 27.9  # chi-square, 9 degrees of freedom, p = .001
    assert abs(np.corrcoef(draws[:-1], draws[1:])[0, 1]) < 0.06


def draws() -> tuple[float, float, float]:
    return random.random(), np.random.rand(), torch.rand(()).item()


def test_seeded_seeds_all_and_puts_all_back() -> None:
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    before = draws()
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    with seeded(key(3)):
        inside = draws()
    assert draws() == before
    with seeded(key(3), "cpu"):
        assert draws() == inside
    try:
        with seeded(key(4)):
            raise KeyError
    except KeyError:
        pass
    torch.manual_seed(1)
    assert torch.rand(()).item() == before[2]

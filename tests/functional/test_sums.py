"""Sums and ratios against exact ones."""

from __future__ import annotations

import math

import torch

from dltools.functional import ratio
from dltools.functional.sums import add_up, per_class, pick, total


def test_sums_are_exact_to_single_precision() -> None:
    generator = torch.Generator().manual_seed(0)
    for sizes in ((), (7,), (1000, 300), (300, 1000), (60, 70, 80), (100000, 2), (3, 0)):
        x = torch.rand(2, *sizes, generator=generator)
        index = torch.randint(0, 5, (2, *sizes), generator=generator)
        found = per_class(x, index, 5)
        assert (found.dtype, found.shape) == (torch.float64, (2, 5))
        for n in range(2):
            for c in range(5):
                exact = math.fsum(x[n][index[n] == c].tolist())
                assert math.isclose(found[n, c], exact, rel_tol=1e-6)
        channels = x.unsqueeze(1)
        assert add_up(channels).shape == (2, 1)
        for n in range(2):
            assert math.isclose(add_up(channels)[n, 0], math.fsum(x[n].flatten().tolist()), rel_tol=2e-7)
        assert math.isclose(total(x), math.fsum(x.flatten().tolist()), rel_tol=2e-7)


def test_sums_of_double_precision_stay_there() -> None:
    x = torch.rand(2, 3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    index = torch.randint(0, 3, (2, 4, 5), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(add_up(x), x.sum((2, 3)), rtol=1e-15, atol=0)
    expected = torch.nn.functional.one_hot(index, 3).movedim(-1, 1).mul(x[:, :1]).sum((2, 3))
    torch.testing.assert_close(per_class(x[:, 0], index, 3), expected, rtol=1e-15, atol=0)
    assert torch.equal(pick(x, index)[1, 2, 3], x[1, index[1, 2, 3], 2, 3])


def test_ratio_is_flat_where_nothing_is_below() -> None:
    num = torch.tensor([1.0, 3.0, torch.nan], requires_grad=True)
    den = torch.tensor([2.0, 0.0, 0.0], requires_grad=True)
    found = ratio(num, den)
    assert found.tolist() == [0.5, 0.0, 0.0]
    found.sum().backward()
    assert num.grad is not None
    assert den.grad is not None
    assert num.grad.tolist() == [0.5, 0.0, 0.0]
    assert den.grad.tolist() == [-0.25, 0.0, 0.0]

"""The step in other people's loops: the same numbers as in a loop written out with torch alone."""

from __future__ import annotations

import importlib.util
import math

import pytest
import torch
from torch import nn

from tests.test_examples import EXAMPLES, run

LOOPS = {"plain_loop.py": "torch", "accelerate_loop.py": "accelerate", "fabric_loop.py": "lightning_fabric"}


def by_hand() -> tuple[int, float, float]:
    """Updates, mean norm, share of clipped ones."""
    torch.manual_seed(0)
    x = torch.randn(240, 16)
    y = x[:, :1].sin()
    model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 1))
    biases = [p for p in model.parameters() if p.ndim == 1]
    matrices = [p for p in model.parameters() if p.ndim == 2]
    optimizer = torch.optim.AdamW([{"params": matrices}, {"params": biases, "weight_decay": 0.0}], lr=0.0)
    norms = []
    for _ in range(3):
        for window in range(8):  # seven of 32 items and one of 16
            part = slice(32 * window, 32 * window + 32)
            n, total = len(norms), 24
            share = n / 2 if n < 2 else (1 + math.cos(math.pi * (n - 2) / (total - 2))) / 2
            for group in optimizer.param_groups:
                group["lr"] = 0.01 * share
            optimizer.zero_grad()
            nn.functional.mse_loss(model(x[part]), y[part]).backward()
            norms.append(nn.utils.clip_grad_norm_(model.parameters(), 0.5).item())
            optimizer.step()
    return len(norms), sum(norms) / len(norms), sum(norm > 0.5 for norm in norms) / len(norms)


@pytest.mark.parametrize("name", LOOPS)
def test_the_numbers_are_those_of_torch_alone(name: str) -> None:
    if importlib.util.find_spec(LOOPS[name]) is None:
        pytest.skip(f"{LOOPS[name]} is not installed: it comes with the extra `dev`")
    words = run(f"interop/{name}").split()
    updates, norm, clipped = by_hand()
    assert (int(words[0]), words[2::2]) == (updates, ["step/grad_norm", "step/clipped", "step/skipped"])
    assert [float(word) for word in words[3::2]] == pytest.approx([norm, clipped, 0.0], abs=2e-5)


def test_every_loop_is_run_here() -> None:
    assert {file.name for file in (EXAMPLES / "interop").glob("*.py")} == set(LOOPS)

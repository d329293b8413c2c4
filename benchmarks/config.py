"""What configs cost: construction, building, definition, import; each as a ratio in one run.

    python benchmarks/config.py

The hand-written side makes the same modules, a Combine of two Tversky losses, without any config.
"""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import timeit
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import nn

from dltools.cfgutils import Config, build
from dltools.losses import CombineCfg, TverskyLossCfg

T_co = TypeVar("T_co", covariant=True)


class HandTversky:
    def __init__(self, alpha: float, beta: float) -> None:
        self.alpha, self.beta = alpha, beta


class HandCombine:
    def __init__(self, terms: dict[str, HandTversky], weights: dict[str, float]) -> None:
        self.terms, self.weights = dict(terms), dict(weights)


class HandTverskyModule(nn.Module):
    def __init__(self, alpha: float, beta: float) -> None:
        super().__init__()
        self.alpha, self.beta = alpha, beta


class HandCombineModule(nn.Module):
    def __init__(self, terms: dict[str, nn.Module], weights: dict[str, float]) -> None:
        super().__init__()
        self.terms, self.weights = nn.ModuleDict(terms), dict(weights)


class FamilyCfg(Config[T_co]):
    pass


def by_hand() -> HandCombine:
    return HandCombine({"a": HandTversky(0.3, 0.7), "b": HandTversky(0.7, 0.3)}, {"a": 1.0, "b": 2.0})


def modules_by_hand() -> HandCombineModule:
    terms: dict[str, nn.Module] = {"a": HandTverskyModule(0.3, 0.7), "b": HandTverskyModule(0.7, 0.3)}
    return HandCombineModule(terms, {"a": 1.0, "b": 2.0})


def config() -> CombineCfg:
    terms = {"a": TverskyLossCfg(alpha=0.3, beta=0.7), "b": TverskyLossCfg(alpha=0.7, beta=0.3)}
    return CombineCfg(terms=terms, weights={"a": 1.0, "b": 2.0})


def hydra() -> Callable[[], Any] | None:
    try:
        from hydra.utils import instantiate
    except ImportError:
        return None
    loss = f"{__name__}.HandTversky"
    terms = {"a": {"_target_": loss, "alpha": 0.3, "beta": 0.7}, "b": {"_target_": loss, "alpha": 0.7, "beta": 0.3}}
    whole = {"_target_": f"{__name__}.HandCombine", "terms": terms, "weights": {"a": 1.0, "b": 2.0}}
    return lambda: instantiate(whole)


def microseconds(*calls: Callable[[], Any]) -> list[float]:
    """Of each call; short turns, one after the other, so that a busy machine slows all of them alike."""
    for call in calls:
        call()
    turns = [[timeit.timeit(call, number=20) for call in calls] for _ in range(300)]
    return [min(times) / 20 * 1e6 for times in zip(*turns, strict=True)]


def definitions(kind: str) -> float:
    """Milliseconds to define 150 classes of four fields."""
    fields = "    a: float = 1.0\n    b: int = 2\n    c: str = 'x'\n    d: tuple[float, ...] = ()\n"
    if kind == "dataclass":
        head = "@dataclasses.dataclass(frozen=True, kw_only=True)\nclass S{0}:\n"
    else:
        head = "class S{0}Cfg(FamilyCfg['S{0}']):\n"
    source = "from __future__ import annotations\n" + "".join(head.format(i) + fields for i in range(150))
    code = compile(source, kind, "exec")
    names = {"dataclasses": dataclasses, "FamilyCfg": FamilyCfg, "__name__": __name__}
    return min(timeit.repeat(lambda: exec(code, names), number=1, repeat=5)) * 1e3


def import_ms(statement: str) -> float:
    code = f"import time; t = time.perf_counter(); {statement}; print(time.perf_counter() - t)"
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(5)]
    return min(float(run.stdout) for run in runs) * 1e3


def row(name: str, ours: float, floor: float, bar: str) -> None:
    print(f"{name:58} {ours:10.2f} {floor:10.2f} {ours / floor:8.2f}x   bar {bar}")


def main() -> None:
    torch.set_num_threads(2)
    print(f"{'':58} {'dltools':>10} {'floor':>10} {'ratio':>9}")
    made, peer = config(), hydra()
    plain, modules, ours, built = microseconds(by_hand, modules_by_hand, config, lambda: build(made))
    row("construct the config / plain objects by hand, us", ours, plain, "20x")
    row("construct the config / modules by hand, us", ours, modules, "20x")
    row("build the losses / modules by hand, us", built, modules, "5x")
    if peer is not None:
        row("peer: hydra instantiate / plain objects by hand, us", microseconds(peer)[0], plain, "-")
    row("define 150 configs / dataclasses, ms", definitions("config"), definitions("dataclass"), "2x")
    with_torch = import_ms("import torch")
    row("import dltools / import torch, ms", import_ms("import dltools"), with_torch, "0.05x")
    row("import dltools.losses / import torch, ms", import_ms("import dltools.losses"), with_torch, "1.05x")
    first = import_ms("from dltools.losses import DiceLoss")
    row("from dltools.losses import DiceLoss / import torch, ms", first, with_torch, "-")


if __name__ == "__main__":
    main()

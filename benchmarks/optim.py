"""Steps, averages and parameter groups against the same work written by hand, and against the libraries for it.

    python benchmarks/optim.py         # all cases
    python benchmarks/optim.py groups  # some of them

One thread; times are of the process. All sides take turns, and each ratio is the median over the turns, to the first
side: what is written by hand. A peer that is not there is named.
"""

from __future__ import annotations

import copy
import sys
import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from scenes.loops import LOOPS, WINDOW, Batches
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from dltools.cfgutils import build
from dltools.handlers import (
    AccumulateCfg,
    AmpCfg,
    ClipNormCfg,
    EmaCfg,
    SkipNonFiniteCfg,
    SkipSpikeCfg,
    StepHandlerCfg,
)
from dltools.meters import Mean
from dltools.optim import AdamWCfg, CosineScheduleCfg, SchedulerCfg, param_groups

Call = Callable[[], Any]
BARS = {"micro-step": 1.0, "EMA": 1.1, "groups": 1.2}
READ = torch.ops.aten._local_scalar_dense.default


class Reads(TorchDispatchMode):
    """Values that were read on the host."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func is READ
        return func(*args, **(kwargs or {}))


def there(prepare: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
    """What is installed; the rest is named."""
    found = {}
    for name, make in prepare.items():
        try:
            found[name] = make()
        except ImportError as error:
            print(f"{name:44} {str(error).splitlines()[0]:.70}")
    return found


def report(name: str, sides: Mapping[str, list[float]], unit: str) -> None:
    """A line per side, with its ratio to the first one."""
    floor = next(iter(sides.values()))
    for side, times in sides.items():
        ratio = median(one / least for one, least in zip(times, floor, strict=True))
        bar = f"bar {BARS[name]:.2f} {'met' if ratio <= BARS[name] else 'NOT MET'}" if side == "dltools" else ""
        print(f"{f'{name}: {side}':44} {median(times):9.2f} {unit} {ratio:7.2f}x   {bar}", flush=True)


def turns(sides: Mapping[str, Call], number: int) -> dict[str, list[float]]:
    """Milliseconds of each side, after three calls that do not count."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(number + 3):
        for name, call in rotated(sides, turn):
            start = time.process_time()
            call()
            if turn > 2:
                found[name].append((time.process_time() - start) * 1e3)
    return found


def rotated(sides: Mapping[str, Any], turn: int) -> list[tuple[str, Any]]:
    """In another order each turn: who comes first finds other things in the caches."""
    items, begin = list(sides.items()), turn % len(sides)
    return items[begin:] + items[:begin]


def micro_steps() -> None:
    loops = there(LOOPS)
    found: dict[str, list[float]] = {name: [] for name in loops}
    for turn in range(21):
        for name, loop in rotated(loops, turn):
            batches = Batches(warm=10 * WINDOW, counted=50 * WINDOW)
            loop(batches)
            found[name].append(batches.us)
    report("micro-step", found, "us")


def everything(impl: Any) -> tuple[Call, Call]:
    """A window of a handler with all slots on, and an update of its optimizer alone."""
    model, meter = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 1)), Mean()
    cfg = StepHandlerCfg(
        amp=AmpCfg(dtype="fp16", init_scale=8.0),
        accumulate=AccumulateCfg(window=WINDOW),
        clip=ClipNormCfg(max_norm=1.0),
        skip=(SkipNonFiniteCfg(), SkipSpikeCfg(), SkipSpikeCfg(of="loss")),
        average=EmaCfg(),
        schedule=SchedulerCfg(lr=CosineScheduleCfg(total_steps=1000)),
    )
    optimizer = build(AdamWCfg(impl=impl), model)
    step = build(cfg, model, optimizer)
    x, y = torch.randn(8, 16), torch.randn(8, 1)

    def window() -> None:
        for _ in range(WINDOW):
            with step.forward():
                loss = F.mse_loss(model(x), y)
            meter.update(loss.detach())
            step(loss, count=8)

    def alone() -> None:
        F.mse_loss(model(x), y).backward()
        optimizer.step()
        optimizer.zero_grad()

    return window, alone


def recipe() -> Call:
    """The same with torch's own parts."""
    model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 1))
    optimizer, scaler = torch.optim.AdamW(model.parameters()), torch.amp.GradScaler("cpu", init_scale=8.0)
    average = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.999))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 1000)
    x, y = torch.randn(8, 16), torch.randn(8, 1)

    def window() -> None:
        total = 0.0
        for _ in range(WINDOW):
            with torch.autocast("cpu", torch.float16):
                loss = F.mse_loss(model(x), y) / WINDOW
            total += loss.item()
            scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        schedule.step()
        average.update_parameters(model)

    return window


def host_reads() -> None:
    """Of one update, after five."""

    def count(call: Call) -> int:
        for _ in range(5):
            call()
        with Reads() as reads:
            call()
        return reads.count

    for impl in ("fused", "foreach", "loop"):
        found, own = map(count, everything(impl))
        bar = 0 if impl == "fused" else own + 1
        met = f"of the optimizer itself {own}   bar {bar} {'met' if found <= bar else 'NOT MET'}"
        print(f"{f'host reads: dltools, all slots, {impl}':44} {found:9}   {met}")
    print(f"{'host reads: GradScaler, clip, average, loss':44} {count(recipe()):9}")
    for name, loop in there(LOOPS).items():
        if name != "dltools":
            reads = [count_loop(loop, n) for n in (20, 30)]
            print(f"{f'host reads: {name}, clip and gate':44} {(reads[1] - reads[0]) / 10:9.0f}")


def count_loop(loop: Any, windows: int) -> int:
    with Reads() as reads:
        loop(Batches(warm=WINDOW, counted=(windows - 1) * WINDOW))
    return reads.count


def averages() -> None:
    model = many(2002, 8)
    twin = copy.deepcopy(model).requires_grad_(False)
    old, new = list(twin.parameters()), list(model.parameters())

    def floor() -> None:
        with torch.no_grad():
            torch._foreach_lerp_(old, new, 0.1)

    def peer() -> Call:
        rule = torch.optim.swa_utils.get_ema_multi_avg_fn(0.9)
        average = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=rule)
        return lambda: average.update_parameters(model)

    ours, gate = build(EmaCfg(decay=0.9), model), torch.zeros(())
    sides = {"lists kept, one foreach lerp": floor, "dltools": ours.update, "torch AveragedModel": peer()}
    report("EMA", turns(sides, 300), "ms")
    gated = {"lists kept, one foreach lerp": floor, "with a skip flag on the device": lambda: ours.update(gate)}
    report("EMA", turns(gated, 300), "ms")
    print(f"{'EMA: timm ModelEmaV3':44} needs torchvision, and is left out")


def groups() -> None:
    model = many(10002, 2)

    def floor() -> tuple[list[Any], list[Any]]:
        decay, no_decay = list[Any](), list[Any]()
        for module in model.modules():
            is_norm = isinstance(module, nn.LayerNorm | nn.GroupNorm | nn.modules.batchnorm._NormBase)
            for name, param in module._parameters.items():
                if param is not None and param.requires_grad:
                    (no_decay if is_norm or name == "bias" else decay).append(param)
        return decay, no_decay

    def names() -> tuple[list[Any], list[Any]]:
        decay, no_decay = list[Any](), list[Any]()
        for name, param in model.named_parameters():
            if param.requires_grad:
                (no_decay if param.ndim < 2 or name.endswith(".bias") else decay).append(param)
        return decay, no_decay

    def peer() -> Call:
        from pytorch_optimizer import get_optimizer_parameters

        return lambda: get_optimizer_parameters(model, 0.1)

    sides = {
        "one pass over modules": lambda: floor,
        "dltools": lambda: lambda: param_groups(model, lr=0.1, weight_decay=0.1),
        "one pass over named_parameters": lambda: names,
        "pytorch_optimizer": peer,
    }
    report("groups", turns(there(sides), 40), "ms")
    print(f"{'groups: timm':44} needs torchvision, and is left out")


def many(tensors: int, width: int) -> nn.Module:
    return nn.Sequential(*(nn.Linear(width, width) for _ in range(tensors // 2)))


CASES = {"step": micro_steps, "reads": host_reads, "ema": averages, "groups": groups}


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"{'':44} {'median':>9} {'':2} {'ratio':>8}")
    for name, case in CASES.items():
        if name in sys.argv[1:] or not sys.argv[1:]:
            case()


if __name__ == "__main__":
    main()

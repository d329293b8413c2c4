"""Which checkpoints stay."""

from __future__ import annotations

import math
from collections.abc import Sequence

from dltools.checkpoints.card import Ref
from dltools.metrics.target import Target


def best_first(refs: Sequence[Ref], target: Target) -> list[Ref]:
    """The checkpoints whose metrics the target can judge, the best in front; of equals the older."""
    rest = [ref for ref in refs if math.isfinite(target.value(ref.metrics)) and target.better(ref.metrics, None)]
    ranked: list[Ref] = []
    while rest:
        best = rest[0]
        for ref in rest[1:]:
            if target.better(ref.metrics, best.metrics):
                best = ref
        ranked.append(best)
        rest.remove(best)
    return ranked


def expired(refs: Sequence[Ref], new: Ref, keep_last: int, keep_best: int, target: Target | None) -> list[Ref]:
    """What may go of the checkpoints of a store, oldest first: all but the new one, the last and the best."""
    kept = {new.path} | {ref.path for ref in refs[-keep_last:]}
    if target is not None and keep_best:
        kept |= {ref.path for ref in best_first(refs, target)[:keep_best]}
    return [ref for ref in refs if ref.path not in kept]

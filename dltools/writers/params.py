"""Hyperparameters as a flat table: nested configs, mappings and sequences become dotted names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from dltools.cfgutils.config import Config
from dltools.cfgutils.record import Record
from dltools.cfgutils.values import values
from dltools.errors import ConfigError
from dltools.writers.records import Setting, check_name, check_text
from dltools.writers.staging import number


def flatten(params: Record | Mapping[str, Any]) -> dict[str, Setting]:
    """Numbers, strings and None by dotted name; other values as their ``str``; a nested config's tag as ``type``.

    >>> flatten({"optim": {"lr": 0.1, "betas": (0.9, 0.999)}})
    {'optim.lr': 0.1, 'optim.betas.0': 0.9, 'optim.betas.1': 0.999}
    """
    if not isinstance(params, (Record, Mapping)):
        raise ConfigError(f"hparams got {params!r:.80}", expected="a config or a mapping")
    return {".".join(path): value for path, value in _leaves(params, ())}


def _leaves(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Setting]]:
    if isinstance(value, Config):
        yield (*path, "type"), value.tag
    parts: Mapping[Any, Any] | None = None
    if isinstance(value, Record):
        parts = values(value)
    elif isinstance(value, Mapping):
        parts = value
    elif isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        parts = dict(enumerate(value))
    if parts is None:
        yield path, _leaf(".".join(path), value)
        return
    for name, part in parts.items():
        yield from _leaves(part, (*path, check_name(str(name), "name of a hyperparameter")))


def _leaf(name: str, value: Any) -> Setting:
    if value is None:
        return None
    if isinstance(value, (bool, int, float, np.number, np.bool_)) or (isinstance(value, Tensor) and not value.ndim):
        return number(name, value)
    return check_text(str(value), name)

"""Policies by name: what the command line runs."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dltools.cfgutils.files import dump, load, override
from dltools.cfgutils.values import to_tree
from dltools.errors import ConfigError, did_you_mean
from dltools.policies.base import PolicyCfg, differences
from dltools.policies.folder import CONFIG, is_finished


def configure(name: str, words: Sequence[str] = ()) -> PolicyCfg[Any]:
    """The config of a policy or preset, of a file on top if the words name one, and of ``path=value`` words on that."""
    known = presets()
    if name not in known:
        raise ConfigError(f"no policy or preset {name!r}", hint=did_you_mean(name, known))
    files = [word for word in words if "=" not in word]
    values = [word for word in words if "=" in word]
    if len(files) > 1 or any(word.startswith("-") for word in words):
        raise ConfigError(f"cannot read {' '.join(words)}", expected="[file.yaml] [path=value ...]")
    if not files:
        return override(known[name], *values)
    cfg = load(type(known[name]), Path(files[0]), *values, base=known[name])
    if is_finished(cfg.out) and Path(files[0]).resolve() == (cfg.out / CONFIG).resolve():
        raise ConfigError(f"{cfg.out} holds a finished run", hint=f"train again in a new folder: out={cfg.out}-2")
    return cfg


def presets() -> dict[str, PolicyCfg[Any]]:
    """Every policy's presets; the policy's own name stands for its defaults."""
    import dltools.policies

    files = [module.name for module in pkgutil.iter_modules(dltools.policies.__path__)]
    modules = [importlib.import_module(f"dltools.policies.{name}") for name in files]
    return {name: cfg for module in modules for name, cfg in getattr(module, "PRESETS", {}).items()}


def describe_preset(name: str, cfg: PolicyCfg[Any]) -> str:
    """What a preset runs, where it differs from the policy's defaults, and the whole of it as YAML."""
    changes = differences(to_tree(load(type(cfg), "")), to_tree(cfg))
    differs = [f"  {path}={new}, not {old}" for path, (old, new) in changes.items()] or ["  nothing"]
    return "\n\n".join(
        [
            f"preset: {name}, of {cfg.tag}; `dltools run {name} [file.yaml] [path=value ...]`",
            "\n".join(["Differs from the defaults in:", *differs]),
            dump(cfg).rstrip(),
        ]
    )

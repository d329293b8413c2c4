"""What dltools offers, by name: a list of components, one component in full, and the environment they run in."""

from __future__ import annotations

import fnmatch
import importlib
import importlib.util
import inspect
import platform
from collections.abc import Iterator
from importlib import metadata
from typing import Any, NamedTuple

from dltools.cfgutils.config import product_class
from dltools.cfgutils.describe import help_text
from dltools.cfgutils.record import Record
from dltools.errors import ConfigError, did_you_mean

KINDS = (
    "losses",
    "metrics",
    "augs",
    "data",
    "optim",
    "writers",
    "models",
    "handlers",
    "checkpoints",
    "policies",
)
"""Areas whose configs build something."""
BESIDE = ("cfgutils", "meters", "states", "visualizers")
"""Packages whose public names are no components."""
PRESETS = "presets"
"""The kind of the policies' ready configs."""

EXTRAS = {
    "augs": ("cv2",),
    "data": ("sklearn",),
    "metrics": ("torchmetrics",),
    "plot": ("matplotlib", "cv2"),
    "tensorboard": ("tensorboard",),
    "tune": ("ray",),
}
"""Extras, and the modules by whose presence one sees that they are installed."""


class Entry(NamedTuple):
    """One component of the catalog."""

    kind: str
    tag: str
    summary: str
    config: type[Any]


def catalog(kind: str = "*", pattern: str = "*") -> list[Entry]:
    """Every component whose area and tag match the patterns (``catalog("losses", "*Dice*")``), aliases left out.

    Of kind ``presets`` are those of the policies.
    """
    if not fnmatch.filter((*KINDS, PRESETS), kind):
        raise ConfigError(f"no kind {kind!r}", hint=did_you_mean(kind, (*KINDS, PRESETS)))
    own = [entry for name, entry in _entries(kind) if name == entry.tag]
    return [entry for entry in own if fnmatch.fnmatchcase(entry.tag.lower(), pattern.lower())]


def show(name: str) -> str:
    """Everything about one component: what it is, its fields with docs and defaults; of a base class, what to write.

    Of a policy's preset: where it differs from the defaults, and its YAML. Of any other public name: its docstring.
    """
    from dltools.policies.presets import describe_preset, presets

    if preset := presets().get(name):
        return describe_preset(name, preset)
    tag, entries = name.removesuffix("Cfg"), dict(_entries("*"))
    if tag in entries:
        entry, doc = entries[tag], _doc(entries[tag].config)
        fields = help_text(entry.config)
        return "\n\n".join([f"{entry.kind}: {entry.tag}", *([] if fields.startswith(doc) else [doc]), fields])
    public = dict(_public())
    if name not in public:
        raise ConfigError(f"no component {name!r}", hint=did_you_mean(name, [*entries, *public]))
    return _described(name, public[name])


def _described(name: str, one: Any) -> str:
    """A public name that is no component."""
    head, doc = f"{one.__module__}: {name}", inspect.getdoc(one) or ""
    if inspect.isabstract(one):
        methods = [f"  {method}{inspect.signature(getattr(one, method))}" for method in sorted(one.__abstractmethods__)]
        return "\n\n".join([head, doc, "\n".join(["To write:", *methods])])
    if isinstance(one, type) and issubclass(one, Record) and one is not Record:
        return f"{head}\n\n{help_text(one)}"
    return f"{head}{inspect.signature(one)}\n\n{doc}" if inspect.isfunction(one) else f"{head}\n\n{doc}"


def _public() -> Iterator[tuple[str, Any]]:
    """What the packages export that has a docstring of its own."""
    for area in (*KINDS, *BESIDE):  # of two with one name the later is shown
        package = importlib.import_module(f"dltools.{area}")
        for name in package.__all__:
            if inspect.isclass(one := getattr(package, name)) or inspect.isfunction(one):
                yield name, one


def _entries(kind: str) -> Iterator[tuple[str, Entry]]:
    """The components of the areas by exported name less ``Cfg``: their tag, or an alias."""
    for area in fnmatch.filter(KINDS, kind):
        package = importlib.import_module(f"dltools.{area}")
        for name in package.__all__:
            config = getattr(package, name)
            if name.endswith("Cfg") and getattr(config, "tag", ""):
                yield name.removesuffix("Cfg"), Entry(area, config.tag, _doc(config).partition("\n")[0], config)
    if fnmatch.fnmatch(PRESETS, kind):
        from dltools.policies.presets import presets

        for name, cfg in presets().items():
            yield name, Entry(PRESETS, name, f"{cfg.tag}, to run: dltools run {name}", type(cfg))


def _doc(config: type[Any]) -> str:
    """What the product says, if it stands beside its config, else the config."""
    product = product_class(config)
    described = product if product.__module__ == config.__module__ else config
    return inspect.getdoc(described) or ""


def env() -> dict[str, str]:
    """Versions and hardware: what an issue report should say."""
    import torch

    found = {
        "dltools": importlib.import_module("dltools").__version__,
        "python": f"{platform.python_version()} on {platform.platform()}",
        "cpu": f"{torch.get_num_threads()} threads",
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else "no device",
    }
    packages = "torch numpy pydantic PyYAML safetensors typer albumentations opencv-python-headless ray tensorboard"
    for package in f"{packages} torchmetrics scikit-learn matplotlib".split():
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def absent_extras() -> dict[str, str]:
    """Extras that are not installed, with the line that installs them."""
    absent = {name: all(map(importlib.util.find_spec, modules)) for name, modules in EXTRAS.items()}
    return {name: f'pip install "dltools[{name}]"' for name, present in absent.items() if not present}

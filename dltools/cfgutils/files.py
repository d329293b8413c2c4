"""Configs to and from YAML, JSON and ``path=value`` words; no tags, no objects, nothing executed."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

from dltools.cfgutils.annotations import problems_of
from dltools.cfgutils.record import Record
from dltools.cfgutils.values import Space, to_tree
from dltools.errors import ConfigError, ConfigProblems
from dltools.yamltext import Lines, digest, file_text, json_text, read_text, yaml_text

C = TypeVar("C", bound=Record)


def load(cls: type[C], path_or_text: Path | str, *overrides: str, base: C | None = None) -> C:
    """A config from a file or a text, with ``path=value`` words on top.

    A ``Path``, or one word ending in yaml, yml or json, is a file; all else is the text itself. ``include: base.yaml``
    (or a list) at the top merges deeply over other files, and all of it over the config ``base``; without one, what a
    file leaves out of a nested config is as that config's own class has it. All mistakes come in one ConfigError with
    file, line, path and the nearest legal name.
    """
    is_file = isinstance(path_or_text, Path) or re.fullmatch(r"(?!.*: ).+\.(yaml|yml|json)", path_or_text)
    name, text, where = (str(path_or_text), None, Lines()) if is_file else ("text", str(path_or_text), Lines())
    below = {} if base is None else to_tree(base, spaces=False)
    tree = _merge(below, _tree(name, text, where, ()))
    if overrides:
        with contextlib.suppress(ConfigError):  # so that words reach into defaults too: `loss.alpha=.3` alone
            tree = to_tree(cls._decode(tree), spaces=False)
    return _construct(cls, tree, name, where, overrides, {})


def override(cfg: C, *dotlist: str, **paths: Any) -> C:
    """A copy with some places changed: ``override(cfg, "loss=Tversky", "loss.alpha=.3", lr=0.1, **{"optim.lr": 0.2})``.

    A tag alone gives that config with its defaults.
    """
    return _construct(type(cfg), to_tree(cfg, spaces=False), type(cfg).__name__, {}, dotlist, paths)


def dump(cfg: Record, format: Literal["yaml", "json"] = "yaml") -> str:  # the field's word
    """The whole config as text that ``load`` reads back to an equal one."""
    writers = {"yaml": yaml_text, "json": json_text}
    if format not in writers:
        raise ConfigError(f"format is {format!r}", expected="yaml or json")
    return writers[format](to_tree(cfg))


def fingerprint(cfg: Record) -> str:
    """32 hexadecimal digits, the same for equal configs in every process."""
    return digest(to_tree(cfg))


def _tree(name: str, text: str | None, where: Lines, above: tuple[Path, ...]) -> Any:
    """The tree of a text or a file over those that it includes; the upper ones are read first, for their lines."""
    if text is None:
        text, above = file_text(name), (*above, Path(name).resolve())
        if above[-1] in above[:-1]:
            raise ConfigError(f"{name} includes itself", expected="includes without a circle")
    tree, base = read_text(text, name, where, _space_or_dict), dict[Any, Any]()
    if not isinstance(tree, dict):
        return {} if tree is None else tree
    included = tree.pop("include", [])
    for other in reversed(included if isinstance(included, list) else [included]):
        base = _merge(_tree(str(Path(name).parent / str(other)), None, where, above), base)
    return _merge(base, tree)


def _space_or_dict(tree: dict[Any, Any]) -> Any:
    """A search space for ``{$uniform: [1, 2]}``."""
    name, args = next(iter(tree.items())) if len(tree) == 1 else ("", ())
    return Space(name[1:], tuple(args) if isinstance(args, list) else (args,)) if str(name)[:1] == "$" else tree


def _merge(base: Any, top: Any) -> Any:
    """Deep for mappings; one of another ``type`` replaces the whole, since its fields are others."""
    if not (isinstance(base, dict) and isinstance(top, dict)) or top.get("type", base.get("type")) != base.get("type"):
        return top
    return {**base, **{key: _merge(base[key], value) if key in base else value for key, value in top.items()}}


def _construct(cls: type[C], tree: Any, name: str, where: Lines, words: Sequence[str], paths: Mapping[str, Any]) -> C:
    """The config of a tree in which ``path=value`` words are put, then ready values."""
    for word in words:
        path, _, text = word.partition("=")
        if not path or "=" not in word:
            raise ConfigError(f"{word!r} is no override", expected="path=value", hint="for example loss.alpha=0.3")
        tree = _put(tree, path, read_text(text, word, {}, _space_or_dict))
        steps = tuple(path.split("."))
        where = {place: line for place, line in where.items() if place[: len(steps)] != steps}
        where |= {steps[:n]: where.get(steps[:n], word) for n in range(1, len(steps) + 1)}
    for path, value in paths.items():
        tree = _put(tree, path, to_tree(value, spaces=False))
    try:
        return cast(C, cls._decode(tree))
    except ConfigError as error:
        raise ConfigProblems.at(name, problems_of(error), where) from None


def _put(tree: Any, path: str, value: Any) -> Any:
    """The tree with a value at a path: a list counts positions, and a tag stands for its config."""
    step, _, rest = path.partition(".")
    if isinstance(tree, list):
        if step not in map(str, range(len(tree))):
            raise ConfigError(f"no position {step!r} among {len(tree)} values", hint="give the whole list: path=[1, 2]")
        return [part if step != str(i) else _put(part, rest, value) if rest else value for i, part in enumerate(tree)]
    tree = {"type": tree} if isinstance(tree, str) else tree if isinstance(tree, dict) else {}
    key = next((key for key in tree if str(key) == step), step)
    return {**tree, key: _put(tree.get(key), rest, value) if rest else value}

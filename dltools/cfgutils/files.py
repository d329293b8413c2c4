"""Configs to and from YAML, JSON and ``path=value`` words."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Mapping
from enum import Enum
from pathlib import Path, PurePath
from typing import Any, Literal, TypeVar

from dltools.cfgutils.config import Config
from dltools.cfgutils.frozen import Path as Place
from dltools.cfgutils.problems import ConfigProblems, Problem
from dltools.cfgutils.record import Record, values
from dltools.cfgutils.spaces import Space
from dltools.cfgutils.text import json_text, read, yaml_text
from dltools.errors import ConfigError

C = TypeVar("C", bound=Record)
Tree = dict[str, Any]


def load(cls: type[C], path_or_text: Path | str, *overrides: str, base: C | None = None) -> C:
    """A config from a file or a text, with ``path=value`` words on top.

    A ``Path``, or one word ending in yaml, yml or json, is a file; all else is the text itself. ``include: base.yaml``
    (or a list) at the top merges deeply over other files, and all of it over the config ``base``. All mistakes come in
    one ConfigError with file, line, path and the nearest legal name.
    """
    if isinstance(path_or_text, Path) or _FILE.fullmatch(path_or_text):
        name = str(path_or_text)
        tree, where = _read_file(Path(path_or_text), ())
    else:
        name = "text"
        tree, where = _include(*read(path_or_text, name), Path(), ())
    if base is not None:
        tree = _merge(to_tree(base, spaces=False), tree)
    if overrides:
        with contextlib.suppress(ConfigError):  # so that words reach into defaults too: `loss.alpha=.3` alone
            tree = to_tree(_construct(cls, tree, where, name), spaces=False)
    _assign(tree, where, overrides, {})
    return _construct(cls, tree, where, name)


def dump(cfg: Record, format: Literal["yaml", "json"] = "yaml") -> str:  # the field's word
    """The whole config as text that ``load`` reads back to an equal one."""
    tree = to_tree(cfg)
    if format == "yaml":
        return yaml_text(tree)
    if format != "json":
        raise ConfigError(f"format is {format!r}", expected="yaml or json")
    return json_text(tree) + "\n"


def override(cfg: C, *dotlist: str, **paths: Any) -> C:
    """A copy with some places changed: ``override(cfg, "loss=Tversky", "loss.alpha=.3", lr=0.1, **{"optim.lr": 0.2})``.

    A tag alone gives that config with its defaults.
    """
    tree, where = to_tree(cfg, spaces=False), dict[Place, str]()
    _assign(tree, where, dotlist, paths)
    return _construct(type(cfg), tree, where, type(cfg).__name__)


def fingerprint(cfg: Record) -> str:
    """32 hexadecimal digits, the same for equal configs in every process."""
    text = json.dumps(_canonical(to_tree(cfg)), sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _canonical(tree: Any) -> Any:
    """Equal values alike: 1.0 and -0.0 as integers."""
    if isinstance(tree, dict):
        return {str(key): _canonical(part) for key, part in tree.items()}
    if isinstance(tree, list):
        return [_canonical(part) for part in tree]
    return int(tree) if isinstance(tree, float) and tree.is_integer() else tree


def to_tree(value: Any, *, spaces: bool = True) -> Any:
    """Plain dicts, lists and scalars; ``spaces=False`` leaves search spaces as they are."""
    if isinstance(value, Record):
        head = {"type": value.tag} if isinstance(value, Config) else {}
        return {**head, **{name: to_tree(part, spaces=spaces) for name, part in values(value).items()}}
    if isinstance(value, Space):
        return {f"${value.kind}": [to_tree(arg) for arg in value.args]} if spaces else value
    if isinstance(value, Mapping):
        return {key: to_tree(part, spaces=spaces) for key, part in value.items()}
    if isinstance(value, tuple):
        return [to_tree(part, spaces=spaces) for part in value]
    if isinstance(value, Enum):
        return value.value
    return str(value) if isinstance(value, PurePath) else value


def _construct(cls: type[C], tree: Any, where: Mapping[Place, str], name: str) -> C:
    try:
        made: C = cls._decode(tree)
    except ConfigError as error:
        problems = error.problems if isinstance(error, ConfigProblems) else [Problem((), str(error))]
        raise ConfigProblems(name, problems, where) from None
    return made


def _read_file(path: Path, above: tuple[Path, ...]) -> tuple[Tree, dict[Place, str]]:
    try:
        place, text = path.resolve(), path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}", expected="a YAML or JSON file in UTF-8") from None
    if place in above:
        raise ConfigError(f"{path} includes itself", expected="includes without a circle")
    return _include(*read(text, str(path)), path.parent, (*above, place))


def _include(
    tree: Any, where: dict[Place, str], folder: Path, above: tuple[Path, ...]
) -> tuple[Tree, dict[Place, str]]:
    tree = {} if tree is None else {"type": tree} if isinstance(tree, str) else tree
    if not isinstance(tree, dict):
        raise ConfigProblems("config", [Problem((), f"got {tree!r:.60}; expected fields, such as `lr: 0.1`")], where)
    names = tree.pop("include", [])
    base: Tree = {}
    lines: dict[Place, str] = {}
    for name in [names] if isinstance(names, str) else names:
        more, at = _read_file(folder / name, above)
        base, lines = _merge(base, more), {**lines, **at}
    return _merge(base, tree), {**lines, **where}


def _merge(base: Any, top: Any) -> Any:
    """Deep for mappings; one of another ``type`` replaces the whole, since its fields are others."""
    if not (isinstance(base, dict) and isinstance(top, dict)) or top.get("type", base.get("type")) != base.get("type"):
        return top
    return {**base, **{key: _merge(base[key], value) if key in base else value for key, value in top.items()}}


def _assign(tree: Tree, where: dict[Place, str], words: tuple[str, ...], paths: Mapping[str, Any]) -> None:
    """Put ``path=value`` words, then ready-made values, into the tree."""
    for word in words:
        path, equals, text = word.partition("=")
        if not equals or not path:
            raise ConfigError(f"{word!r} is no override", expected="path=value", hint="for example loss.alpha=0.3")
        _set(tree, path, read(text, word)[0], where, word)
    for path, value in paths.items():
        _set(tree, path, to_tree(value, spaces=False), where, path)


def _set(tree: Any, path: str, value: Any, where: dict[Place, str], name: str) -> None:
    steps: Place = ()
    *heads, last = path.split(".")
    for head in heads:
        key = _key(tree, head)
        steps = (*steps, key)
        where[steps] = name
        inner = tree[key] if isinstance(tree, list) else tree.get(key)
        if isinstance(inner, str):
            inner = {"type": inner}  # a tag alone, from an earlier word
        tree[key] = inner if isinstance(inner, (dict, list)) else {}
        tree = tree[key]
    key = _key(tree, last)
    tree[key] = value
    steps = (*steps, key)
    for old in [place for place in where if place[: len(steps)] == steps]:
        del where[old]
    where[steps] = name


def _key(tree: Any, step: str) -> Any:
    """A step as it stands in the tree: a position, a number among the keys, or the word itself."""
    number = int(step) if step.isdecimal() else -1
    if isinstance(tree, dict):
        return number if number in tree else step
    if number not in range(len(tree)):
        raise ConfigError(f"no position {step!r} among {len(tree)} values", hint="give the whole list: path=[1, 2]")
    return number


_FILE = re.compile(r"(?!.*: ).+\.(yaml|yml|json)")

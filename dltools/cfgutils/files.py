"""Configs to and from YAML, JSON and ``path=value`` words; no tags, no objects, nothing executed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml

from dltools.cfgutils.annotations import ConfigProblems, Place, problems_of
from dltools.cfgutils.record import Record
from dltools.cfgutils.values import Space, to_tree
from dltools.errors import ConfigError

C = TypeVar("C", bound=Record)
Lines = dict[Place, str]
"""Where each part of a tree is written: ``train.yaml:6``, or a word of the command line."""

MAX_VALUES = 100_000
YAML = "tag:yaml.org,2002:"
SCALARS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "null": (r"~|null|Null|NULL|", lambda _: None),
    "bool": (r"true|True|TRUE|false|False|FALSE", lambda text: text.lower() == "true"),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", lambda text: int(text, 0 if text[1:2] in ("o", "x") else 10)),
    "str": (r"(?!)", lambda text: text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")),
    "float": (
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        lambda text: float(text.lower().replace(".inf", "inf").replace(".nan", "nan")),
    ),
}
"""YAML 1.2's core schema, so that ``1e-4`` is a number and ``on`` a word; YAML 1.1 has both the other way round.

All else is a string; in JSON one sign of it may be written as two, ``\\ud83d\\ude00``.
"""


class _Reader(yaml.SafeLoader):
    """Text to nodes, and these to plain values; none of PyYAML's constructors ever runs."""

    where: Lines
    problems: dict[Place, str]

    def value(self, node: yaml.Node, path: Place = (), key: yaml.Node | None = None) -> Any:
        self.where.setdefault(path, f"{self.name}:{(key or node).start_mark.line + 1}")
        if len(self.where) > MAX_VALUES:  # an alias inside an alias inside an alias ...
            raise RecursionError
        try:
            return self.plain(node, path)
        except ValueError as error:
            self.problems[path] = str(error)

    def plain(self, node: yaml.Node, path: Place) -> Any:
        kind = node.tag.removeprefix(YAML)
        if isinstance(node, yaml.ScalarNode) and kind in SCALARS:
            return SCALARS[kind][1](node.value)
        if isinstance(node, yaml.SequenceNode) and kind == "seq":
            return [self.value(item, (*path, str(i))) for i, item in enumerate(node.value)]
        if not isinstance(node, yaml.MappingNode) or kind != "map":
            raise ConfigError(f"tag {node.tag!r} is not allowed; write plain values and `type: Name`")
        made: dict[Any, Any] = {}
        for key, item in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise ConfigError("a key must be a word or a number")
            place = (*path, str(name := self.plain(key, path)))
            value = self.value(item, place, key)
            if name in made:
                self.problems[place] = f"given twice; again in line {key.start_mark.line + 1}"
            made[name] = value
        name, args = next(iter(made.items())) if len(made) == 1 else ("", ())
        return Space(name[1:], tuple(args) if isinstance(args, list) else (args,)) if str(name)[:1] == "$" else made


class _Dumper(yaml.SafeDumper):
    """Block style, short lists in one line; words that read as numbers are quoted."""

    def of_list(self, data: Any) -> yaml.Node:
        return self.represent_sequence(f"{YAML}seq", data, not any(isinstance(part, (dict, list)) for part in data))

    def of_str(self, data: str) -> yaml.Node:  # other styles write some line breaks raw: they come back as blanks
        return self.represent_scalar(f"{YAML}str", data, style=None if data.isprintable() else '"')


_Dumper.add_representer(list, _Dumper.of_list)
_Dumper.add_representer(str, _Dumper.of_str)
_Reader.yaml_implicit_resolvers = {}
for _kind, (_pattern, _made) in SCALARS.items():
    for _class in (_Reader, _Dumper):
        _class.add_implicit_resolver(f"{YAML}{_kind}", re.compile(f"^(?:{_pattern})$"), None)


def load(cls: type[C], path_or_text: Path | str, *overrides: str, base: C | None = None) -> C:
    """A config from a file or a text, with ``path=value`` words on top.

    A ``Path``, or one word ending in yaml, yml or json, is a file; all else is the text itself. ``include: base.yaml``
    (or a list) at the top merges deeply over other files, and all of it over the config ``base``; without one, what a
    file leaves out of a nested config is as that config's own class has it. All mistakes come in one ConfigError with
    file, line, path and the nearest legal name.
    """
    is_file = isinstance(path_or_text, Path) or re.fullmatch(r"(?!.*: ).+\.(yaml|yml|json)", path_or_text)
    name, text, where = (str(path_or_text), None, Lines()) if is_file else ("text", str(path_or_text), Lines())
    tree = _tree(name, text, where, ())
    if base is not None:
        tree = _merge(to_tree(base, spaces=False), tree)
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
    if format not in ("yaml", "json"):
        raise ConfigError(f"format is {format!r}", expected="yaml or json")
    if format == "json":
        return json_text(to_tree(cfg)) + "\n"
    return yaml.dump(to_tree(cfg), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def json_text(tree: Any) -> str:
    """Strict JSON; infinity is written 1e999, which every reader rounds to it, and NaN null."""
    words = {"Infinity": "1e999", "-Infinity": "-1e999", "NaN": "null"}
    string_or_word = r'"(?:[^"\\]|\\.)*"|-?Infinity|NaN'
    return re.sub(string_or_word, lambda found: words.get(found[0], found[0]), json.dumps(tree, indent=2))


def fingerprint(cfg: Record) -> str:
    """32 hexadecimal digits, the same for equal configs in every process."""
    alike = json.loads(json.dumps(to_tree(cfg)), parse_float=lambda x: int(float(x)) if float(x) % 1 == 0 else float(x))
    text = json.dumps(alike, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _tree(name: str, text: str | None, where: Lines, above: tuple[Path, ...]) -> Any:
    """The tree of a text or a file over those that it includes; the upper ones are read first, for their lines."""
    if text is None:
        try:
            text, above = Path(name).read_text(encoding="utf-8"), (*above, Path(name).resolve())
        except (OSError, ValueError) as error:
            raise ConfigError(f"{name} cannot be read: {error}", expected="a YAML or JSON file in UTF-8") from None
        if above[-1] in above[:-1]:
            raise ConfigError(f"{name} includes itself", expected="includes without a circle")
    tree, base = _read(text, name, where), dict[Any, Any]()
    if not isinstance(tree, dict):
        return {} if tree is None else tree
    included = tree.pop("include", [])
    for other in reversed(included if isinstance(included, list) else [included]):
        base = _merge(_tree(str(Path(name).parent / str(other)), None, where, above), base)
    return _merge(base, tree)


def _read(text: str, name: str, where: Lines) -> Any:
    """The value that a text holds; ``where`` gets the lines of those paths that it has not yet."""
    if text.lstrip().startswith(("{", "[")):
        text = text.replace("\t", " ")  # JSON allows tabs between values, and nowhere else
    try:
        reader = _Reader(text)
        reader.name, reader.where, reader.problems = name, where, {}
        node = reader.get_single_node()
        value = None if node is None else reader.value(node)
    except yaml.YAMLError as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None) or error
        tab = "; indent with spaces, not tabs" if "\\t" in str(problem) else ""
        raise ConfigError(f"{name}:{mark.line + 1}: {problem}{tab}" if mark else f"{name}: {problem}") from None
    except RecursionError:
        raise ConfigError(f"{name}: nested too deeply, or more than {MAX_VALUES} values") from None
    if reader.problems:
        raise ConfigProblems.at(name, reader.problems, where)
    return value


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
        tree = _put(tree, path, _read(text, word, {}))
        steps = tuple(path.split("."))
        for old in [place for place in where if place[: len(steps)] == steps]:
            del where[old]
        where.update({steps[:n]: where.get(steps[:n], word) for n in range(1, len(steps) + 1)})
    for path, value in paths.items():
        tree = _put(tree, path, to_tree(value, spaces=False))
    try:
        made: C = cls._decode(tree)
    except ConfigError as error:
        raise ConfigProblems.at(name, problems_of(error), where) from None
    return made


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

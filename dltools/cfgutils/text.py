"""YAML and JSON text to plain values, with the line of each, and back; no tags, no objects, nothing executed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import yaml

from dltools.cfgutils.frozen import Path
from dltools.cfgutils.problems import ConfigProblems, Problem
from dltools.cfgutils.spaces import KINDS, Space
from dltools.errors import ConfigError, did_you_mean

MAX_VALUES = 100_000
YAML = "tag:yaml.org,2002:"
PATTERNS = {
    "null": r"~|null|Null|NULL|",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+",
    "float": r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
}
"""YAML 1.2's core schema, so that ``1e-4`` is a number and ``on`` a word; YAML 1.1 has both the other way round."""
SCALARS: dict[str, Callable[[str], Any]] = {
    "null": lambda _: None,
    "bool": lambda text: text.lower() == "true",
    "int": lambda text: int(text, 0 if text[:2] in ("0x", "0o") else 10),
    "float": lambda text: float(text.lower().replace(".inf", "inf").replace(".nan", "nan")),
    "str": lambda text: text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass"),
}
"""What each kind of word means; in JSON one sign may be written as two, ``\\ud83d\\ude00``."""


class _Composer(yaml.SafeLoader):
    """Text to nodes; the nodes are read here, so that no constructor ever runs."""


class _Dumper(yaml.SafeDumper):
    """Block style, short lists in one line, no anchors; words that read as numbers are quoted."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_list(self, data: Any) -> yaml.SequenceNode:
        flow = not any(isinstance(part, (dict, list)) for part in data)
        return self.represent_sequence(f"{YAML}seq", data, flow_style=flow)

    def represent_str(self, data: str) -> yaml.ScalarNode:
        style = None if data.isprintable() else '"'  # the others write some line breaks raw: they come back as blanks
        return self.represent_scalar(f"{YAML}str", data, style=style)


_Composer.yaml_implicit_resolvers = {}
_Dumper.add_representer(list, _Dumper.represent_list)
_Dumper.add_representer(str, _Dumper.represent_str)
for _kind, _pattern in PATTERNS.items():
    for _class in (_Composer, _Dumper):
        _class.add_implicit_resolver(f"{YAML}{_kind}", re.compile(f"^(?:{_pattern})$"), None)


def read(text: str, name: str) -> tuple[Any, dict[Path, str]]:
    """The value that a text holds, and ``name:line`` of every path in it."""
    if text.lstrip().startswith(("{", "[")):
        text = text.replace("\t", " ")  # JSON allows tabs between values, and nowhere else
    reading = _Reading(name)
    try:
        node = yaml.compose(text, Loader=_Composer)
        value = reading.value(node, ()) if node is not None else None
    except yaml.MarkedYAMLError as error:
        line = f"{name}:{error.problem_mark.line + 1}" if error.problem_mark else name
        tab = "; indent with spaces, not tabs" if "\\t" in str(error.problem) else ""
        raise ConfigError(f"{line}: {error.problem or error.context}{tab}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}: {error}") from None
    except RecursionError:
        raise ConfigError(f"{name}: nested too deeply, or contains itself") from None
    if reading.problems:
        raise ConfigProblems(name, reading.problems, reading.where)
    return value, reading.where


def yaml_text(tree: Any) -> str:
    """Text that ``read`` reads back."""
    return yaml.dump(tree, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def json_text(tree: Any) -> str:
    """Strict JSON; infinity is written 1e999, which every reader rounds to it, and NaN null."""
    words = {"Infinity": "1e999", "-Infinity": "-1e999", "NaN": "null"}
    return _STRING_OR_WORD.sub(lambda found: words.get(found[0], found[0]), json.dumps(tree, indent=2))


_STRING_OR_WORD = re.compile(r'"(?:[^"\\]|\\.)*"|-?Infinity|NaN')


class _Reading:
    """One pass over the nodes of a text, which collects the mistakes."""

    def __init__(self, name: str) -> None:
        self.name, self.count = name, 0
        self.where: dict[Path, str] = {}
        self.problems: list[Problem] = []

    def value(self, node: yaml.Node, path: Path) -> Any:
        self.count += 1
        if self.count > MAX_VALUES:  # an alias inside an alias inside an alias ...
            raise ConfigError(f"{self.name}: more than {MAX_VALUES} values")
        self.where.setdefault(path, self.line(node))
        kind = node.tag.removeprefix(YAML)
        if isinstance(node, yaml.MappingNode) and kind == "map":
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and kind == "seq":
            return [self.value(item, (*path, i)) for i, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode) and kind in SCALARS:
            try:
                return SCALARS[kind](node.value)
            except ValueError:
                return self.refuse(path, f"{node.value[:20]!r}... is no number that can be read")
        return self.refuse(path, f"tag {node.tag!r} is not allowed; write plain values and `type: Name`")

    def mapping(self, node: yaml.MappingNode, path: Path) -> Any:
        made: dict[Any, Any] = {}
        for key, item in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self.refuse(path, "a key must be a word or a number")
                continue
            name = self.value(key, path)
            place = (*path, name)
            if name in made:
                self.refuse(place, f"given twice; first at {self.where[place]}")
            self.where[place] = self.line(key)
            made[name] = self.value(item, place)
        kind, args = next(iter(made.items())) if len(made) == 1 else ("", None)
        return self.space(kind[1:], args, path) if str(kind).startswith("$") else made

    def space(self, kind: str, args: Any, path: Path) -> Any:
        if kind not in KINDS:
            return self.refuse(path, f"${kind}: unknown search space; {did_you_mean(kind, KINDS)}")
        if not isinstance(args, list):
            return self.refuse(path, f"a search space is written ${{{'|'.join(KINDS)}}}: [...]")
        try:
            return Space(KINDS[kind], tuple(args))
        except ConfigError as error:
            return self.refuse(path, str(error))

    def line(self, node: yaml.Node) -> str:
        return f"{self.name}:{node.start_mark.line + 1}"

    def refuse(self, path: Path, text: str) -> None:
        self.problems.append(Problem(path, text))

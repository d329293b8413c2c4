"""YAML and JSON text as plain values, with the line of each; no tags, no objects, nothing executed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from dltools.cfgutils.frozen import Path
from dltools.cfgutils.problems import ConfigProblems, Problem
from dltools.cfgutils.spaces import KINDS, Space
from dltools.errors import ConfigError, did_you_mean

MAX_VALUES = 100_000
SCALARS = {
    "null": (r"~|null|Null|NULL|", list("~nN") + [""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    "float": (
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
}
"""YAML 1.2's core schema, so that ``1e-4`` is a number and ``on`` a word; YAML 1.1 has both the other way round."""


class _Composer(yaml.SafeLoader):
    """Text to nodes; the nodes are read here, so that no constructor ever runs."""


_Composer.yaml_implicit_resolvers = {}
for _tag, (_pattern, _first) in SCALARS.items():
    _Composer.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)


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


class _Reading:
    def __init__(self, name: str) -> None:
        self.name, self.count = name, 0
        self.where: dict[Path, str] = {}
        self.problems: list[Problem] = []

    def value(self, node: yaml.Node, path: Path) -> Any:
        self.count += 1
        if self.count > MAX_VALUES:  # an alias inside an alias inside an alias ...
            raise ConfigError(f"{self.name}: more than {MAX_VALUES} values")
        self.where.setdefault(path, f"{self.name}:{node.start_mark.line + 1}")
        if isinstance(node, yaml.MappingNode) and node.tag.endswith(",2002:map"):
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag.endswith(",2002:seq"):
            return [self.value(item, (*path, i)) for i, item in enumerate(node.value)]
        kind = node.tag.rpartition(",2002:")[2]
        if isinstance(node, yaml.ScalarNode) and kind in (*SCALARS, "str"):
            return self.scalar(kind, node.value, path)
        self.problems.append(Problem(path, f"tag {node.tag!r} is not allowed; write plain values and `type: Name`"))
        return None

    def mapping(self, node: yaml.MappingNode, path: Path) -> Any:
        made: dict[Any, Any] = {}
        for key, item in self.items(node, path):
            where = f"{self.name}:{key.start_mark.line + 1}"
            name = self.value(key, path)
            if name in made:
                first = self.where[*path, name]
                self.problems.append(Problem((*path, name), f"given twice; first at {first}"))
            self.where[*path, name] = where
            made[name] = self.value(item, (*path, name))
        if len(made) == 1 and (kind := str(next(iter(made)))).startswith("$"):
            return self.space(kind[1:], next(iter(made.values())), path)
        return made

    def items(self, node: yaml.MappingNode, path: Path) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
        for key, item in node.value:
            if isinstance(key, yaml.ScalarNode):
                yield key, item
            else:
                self.problems.append(Problem(path, "a key must be a word or a number"))

    def space(self, kind: str, args: Any, path: Path) -> Any:
        legal = KINDS.get(kind)
        if legal is None or not isinstance(args, list):
            text = f"a search space is written ${{{'|'.join(KINDS)}}}: [...]" if legal else did_you_mean(kind, KINDS)
            self.problems.append(Problem(path, f"${kind}: unknown search space; {text}" if not legal else text))
            return None
        try:
            return Space(legal, tuple(args))
        except ConfigError as error:
            self.problems.append(Problem(path, str(error)))
            return None

    def scalar(self, kind: str, text: str, path: Path) -> Any:
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        try:
            if kind == "int":
                return int(text, 0) if text[:2] in ("0x", "0o") else int(text)
            if kind == "float":
                return float(text.replace(".inf", "inf").replace(".nan", "nan") if text[-1:].isalpha() else text)
        except ValueError:
            self.problems.append(Problem(path, f"{text[:20]!r}... is no number that can be read"))
            return None
        return text.encode("utf-16", "surrogatepass").decode(
            "utf-16", "surrogatepass"
        )  # JSON's \ud83d\ude00 is one sign

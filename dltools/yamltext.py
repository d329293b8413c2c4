"""YAML 1.2 and strict JSON, from text to plain values with their lines and back; no tags, nothing executed."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from dltools.errors import ConfigError, ConfigProblems, Place

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
    mapping: Callable[[dict[Any, Any]], Any]

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
        return self.mapping(made)


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


def file_text(name: str) -> str:
    """What stands in a file, which is to be in UTF-8."""
    try:
        return Path(name).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ConfigError(f"{name} cannot be read: {error}", expected="a YAML or JSON file in UTF-8") from None


def read_text(text: str, name: str, where: Lines, mapping: Callable[[dict[Any, Any]], Any] = lambda made: made) -> Any:
    """The value that a text holds: YAML, of which JSON is a part.

    ``where`` gets the lines of those paths that it has not yet; ``mapping`` says what becomes of a mapping, and its
    ValueErrors are mistakes of that place. All mistakes come in one ConfigProblems.
    """
    if text.lstrip().startswith(("{", "[")):
        text = text.replace("\t", " ")  # JSON allows tabs between values, and nowhere else
    try:
        reader = _Reader(text)
        reader.name, reader.where, reader.problems, reader.mapping = name, where, {}, mapping
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


def yaml_text(tree: Any) -> str:
    """Block style in the order of the keys, lists of scalars in one line."""
    return yaml.dump(tree, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def json_text(tree: Any) -> str:
    """Strict JSON; infinity is written 1e999, which every reader rounds to it, and NaN null."""
    words = {"Infinity": "1e999", "-Infinity": "-1e999", "NaN": "null"}
    string_or_word = r'"(?:[^"\\]|\\.)*"|-?Infinity|NaN'
    return re.sub(string_or_word, lambda found: words.get(found[0], found[0]), json.dumps(tree, indent=2)) + "\n"


def digest(tree: Any) -> str:
    """32 hexadecimal digits, the same for equal trees: 1.0 is 1, and the order of keys does not matter."""
    alike = json.loads(json.dumps(tree), parse_float=lambda x: int(float(x)) if float(x) % 1 == 0 else float(x))
    text = json.dumps(alike, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

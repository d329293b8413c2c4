"""What a config class offers, for people and editors: field docs, help, JSON Schema, the command line."""

from __future__ import annotations

import dataclasses
import inspect
import math
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter

from dltools._introspect import field_docs
from dltools._plain import source
from dltools.cfgutils.config import Config, members, tags
from dltools.cfgutils.files import dump, load
from dltools.cfgutils.record import Record, twin
from dltools.cfgutils.values import to_tree
from dltools.errors import ConfigError

C = TypeVar("C", bound=Record)


def help_text(cls: type[Record]) -> str:
    """One line per field: name, annotation, default, doc."""
    docs, lines = field_docs(cls), [inspect.cleandoc(cls.__doc__ or cls.__name__), ""]
    for name, field in inspect.signature(cls).parameters.items():
        default = "" if field.default is field.empty else f" = {source(field.default)}"
        kind = field.annotation if isinstance(field.annotation, str) else inspect.formatannotation(field.annotation)
        lines.append(f"  {name}: {kind}{default}")
        if name in docs:
            lines.append(textwrap.indent(docs[name], "      "))
    return "\n".join(lines)


def cli(cls: type[C], argv: Sequence[str] | None = None) -> C:
    """The config that a command line gives: ``train.py [base.yaml] [path=value ...] [--help] [--print]``.

    ``--help`` lists the fields, ``--print`` the resulting YAML, and both leave; a mistake is printed and leaves with
    status 2.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if "--help" in words:
        print(f"usage: {Path(sys.argv[0]).name} [base.yaml] [path=value ...] [--help] [--print]\n\n{help_text(cls)}")
        sys.exit(0)
    files = [word for word in words if "=" not in word and word != "--print"]
    try:
        cfg = load(cls, Path(" ".join(files)) if files else "", *(word for word in words if "=" in word))
    except ConfigError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    if "--print" in words:
        print(dump(cfg), end="")
        sys.exit(0)
    return cfg


def schema(cls: type[Record]) -> dict[str, Any]:
    """JSON Schema (2020-12) of the files that ``load(cls, ...)`` takes, for editors that check while one types."""
    definitions, classes = dict[str, Any](), [cls]
    for one in classes:  # which grows meanwhile
        if one.__name__ not in definitions:
            definitions[one.__name__] = found = _plain(_definition(one), classes)
            definitions.update(found.pop("$defs", {}))  # of enumerations
    top = definitions[cls.__name__]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **top, "$defs": definitions}


def _definition(cls: type[Record]) -> dict[str, Any]:
    """With classes where references to their definitions are to stand."""
    if issubclass(cls, Config) and not cls.tag:
        return {"anyOf": [{"x-record": members(cls)[tag]} for tag in tags(cls)]}
    found, docs = TypeAdapter(twin(cls)).json_schema(), field_docs(cls)
    for field in dataclasses.fields(twin(cls)):
        found["properties"][field.name] |= {"description": docs[field.name]} if field.name in docs else {}
        if field.default is not dataclasses.MISSING:
            found["properties"][field.name]["default"] = to_tree(field.default)
    found["properties"] |= {"type": {"const": cls.tag}} if issubclass(cls, Config) else {}
    return {**found, "description": inspect.cleandoc(cls.__doc__ or cls.__name__)}


def _plain(part: Any, classes: list[type[Record]]) -> Any:
    """References in the place of classes, which are noted, and no bounds that are infinite."""
    if isinstance(part, dict):
        found = {key: _plain(value, classes) for key, value in part.items() if value != -math.inf}
        if (one := found.pop("x-record", None)) is not None:
            classes.append(one)
            found["$ref"] = f"#/$defs/{one.__name__}"
        return found
    return [_plain(item, classes) for item in part] if isinstance(part, list) else part

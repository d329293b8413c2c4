"""What a config class offers, for people and editors: field docs, help, JSON Schema, the command line."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter

from dltools.cfgutils.config import Config, members, tags
from dltools.cfgutils.files import dump, load, to_tree
from dltools.cfgutils.frozen import source
from dltools.cfgutils.record import Record
from dltools.errors import ConfigError

C = TypeVar("C", bound=Record)


def field_docs(cls: type[Record]) -> dict[str, str]:
    """The string literal under each field, from the source of the class and its bases; empty without a source."""
    docs: dict[str, str] = {}
    for base in reversed(_classes(cls)):
        try:
            body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        except (OSError, TypeError, SyntaxError):
            continue
        for field, doc in itertools.pairwise(getattr(body, "body", [])):
            if isinstance(field, ast.AnnAssign) and isinstance(doc, ast.Expr) and isinstance(doc.value, ast.Constant):
                docs[ast.unparse(field.target)] = inspect.cleandoc(str(doc.value.value))
    return docs


def help_text(cls: type[Record]) -> str:
    """One line per field: name, annotation, default, doc."""
    docs, lines = field_docs(cls), [_doc(cls), ""]
    for name, field in inspect.signature(cls).parameters.items():
        default = "" if field.default is inspect.Parameter.empty else f" = {source(field.default)}"
        kind = field.annotation if isinstance(field.annotation, str) else inspect.formatannotation(field.annotation)
        lines.append(f"  {name}: {kind}{default}")
        if name in docs:
            lines.append(textwrap.indent(docs[name], "      "))
    return "\n".join(lines)


def _doc(cls: type[Record]) -> str:
    return next((inspect.cleandoc(base.__doc__) for base in _classes(cls) if base.__doc__), cls.__name__)


def _classes(cls: type[Record]) -> list[type[Record]]:
    """The class and its bases, less those of this package."""
    return [base for base in cls.__mro__ if issubclass(base, Record) and base not in (Record, Config)]


def cli(cls: type[C], argv: Sequence[str] | None = None) -> C:
    """The config that a command line gives: ``train.py [base.yaml] [path=value ...] [--help] [--print]``.

    ``--help`` lists the fields, ``--print`` the resulting YAML, and both leave; a mistake is printed and leaves with
    status 2.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    options = {word for word in words if word.startswith("-")}
    overrides = [word for word in words if "=" in word and word not in options]
    files = [word for word in words if "=" not in word and word not in options]
    if options & {"--help", "-h"}:
        print(f"usage: {Path(sys.argv[0]).name} [base.yaml] [path=value ...] [--help] [--print]\n\n{help_text(cls)}")
        raise SystemExit(0)
    try:
        if odd := [*sorted(options - {"--print"}), *files[1:]]:
            raise ConfigError(f"cannot read {' '.join(odd)}", hint="--help lists what is legal")
        cfg = load(cls, Path(files[0]) if files else "", *overrides)
    except ConfigError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None
    if "--print" in options:
        print(dump(cfg), end="")
        raise SystemExit(0)
    return cfg


def schema(cls: type[Record]) -> dict[str, Any]:
    """JSON Schema (2020-12) of the files that ``load(cls, ...)`` takes, for editors that check while one types."""
    definitions: dict[str, Any] = {}
    top = _reference(cls, definitions)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **top, "$defs": definitions}


def _reference(cls: type[Record], definitions: dict[str, Any]) -> dict[str, Any]:
    """A reference to the definition of a record, or to those of all members of a family."""
    if issubclass(cls, Config) and not cls.tag:
        tags(cls)
        return {"anyOf": [_reference(member, definitions) for member in members(cls).values()]}
    if cls.__name__ not in definitions:
        definitions[cls.__name__] = {}  # stands there already when the record contains itself
        definitions[cls.__name__] = _definition(cls, definitions)
    return {"$ref": f"#/$defs/{cls.__name__}"}


def _definition(cls: type[Record], definitions: dict[str, Any]) -> dict[str, Any]:
    found, docs = TypeAdapter(cls).json_schema(), field_docs(cls)
    definitions.update(found.get("$defs", {}))  # of enumerations
    fields = {name: _fill_in(part, definitions) for name, part in found.get("properties", {}).items()}
    for field in dataclasses.fields(cast(Any, cls)):
        if field.default is not dataclasses.MISSING:
            fields[field.name]["default"] = to_tree(field.default)
        if field.name in docs:
            fields[field.name]["description"] = docs[field.name]
    tag = {"type": {"const": cls.tag}} if issubclass(cls, Config) else {}
    return {
        "type": "object",
        "description": _doc(cls),
        "properties": {**tag, **fields},
        "required": found.get("required", []),
        "additionalProperties": False,
    }


def _fill_in(part: Any, definitions: dict[str, Any]) -> Any:
    """Replace the places where a record stands by references."""
    if isinstance(part, dict):
        rest = {key: _fill_in(value, definitions) for key, value in part.items() if key != "x-record"}
        return {**rest, **_reference(part["x-record"], definitions)} if "x-record" in part else rest
    return [_fill_in(item, definitions) for item in part] if isinstance(part, list) else part

"""Records: a subclass of ``Record`` becomes a frozen, keyword-only, validated pydantic dataclass."""

from __future__ import annotations

import copy
import copyreg
import dataclasses
import inspect
import sys
import weakref
from collections.abc import Iterator, Mapping
from types import FrameType
from typing import Any, ClassVar, Self, cast, dataclass_transform

from pydantic import ConfigDict, ValidationError
from pydantic.dataclasses import dataclass, rebuild_dataclass
from pydantic_core import ArgsKwargs

from dltools.cfgutils.annotations import hints, strict
from dltools.cfgutils.frozen import PLAIN, Path, call, children, freeze, put
from dltools.cfgutils.problems import ConfigProblems, problems_of, refuse, translate
from dltools.cfgutils.spaces import Space
from dltools.errors import ConfigError

PYDANTIC = ConfigDict(strict=True, extra="forbid", defer_build=True, arbitrary_types_allowed=True)
ELSEWHERE = object()
RESERVED = frozenset({"build", "include", "is_open", "product", "replace", "tag", "type"})
_SCOPES: weakref.WeakKeyDictionary[type[Any], FrameType] = weakref.WeakKeyDictionary()


def _missing() -> Any:
    return dataclasses.MISSING


# cloudpickle (Ray) would make a second MISSING in the other process, and dataclasses compares it by identity.
copyreg.pickle(type(dataclasses.MISSING), lambda _: (_missing, ()))


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(dataclasses.field,))
class Record:
    """Validated, read-only fields without a product: nested settings, a script's own top-level config.

    >>> class TrainCfg(Record):
    ...     lr: float = 1e-3
    >>> TrainCfg(lr=0.1).replace(lr=0.2)
    TrainCfg(lr=0.2)
    >>> TrainCfg(lrr=0.1)
    Traceback (most recent call last):
    dltools.cfgutils.problems.ConfigProblems: TrainCfg: lrr: unknown; did you mean 'lr'?
    """

    is_open: ClassVar[bool] = False
    """Whether a search space stands in one of the fields, at any depth."""
    _prepared: ClassVar[str]
    _open_defaults: ClassVar[frozenset[str]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name, annotation in vars(cls).get("__annotations__", {}).items():
            if name in RESERVED and "ClassVar" not in str(annotation):
                raise ConfigError(
                    f"{cls.__qualname__} has a field {name!r}", expected="another name; this one is taken"
                )
            if isinstance(vars(cls).get(name), (dict, list)):
                setattr(cls, name, freeze(vars(cls)[name], []))
        frame, home = _defining_frame(), sys.modules.get(cls.__module__)
        if "<locals>" in cls.__qualname__ or frame.f_globals is not getattr(home, "__dict__", None):
            _SCOPES[cls] = frame
        dataclass(frozen=True, kw_only=True, repr=False, config=PYDANTIC)(cls)
        _install(cls)

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed, validated again."""
        return type(self)(**{**values(self), **changes})

    def __repr__(self) -> str:
        """Source that makes an equal config; fields at their defaults are left out."""
        return call(type(self).__name__, {k: v for k, v in values(self).items() if not _is_default(self, k, v)})

    @classmethod
    def _choose(cls, given: Mapping[str, Any]) -> tuple[type[Record], Mapping[str, Any]]:
        """The class that a mapping of a file means, and its fields."""
        return cls, given


class _Signature:
    """``inspect.signature(XxxCfg)``: the fields with their annotations as written and their defaults."""

    def __get__(self, record: Any, cls: type[Record]) -> inspect.Signature:
        if record is not None:
            raise AttributeError("__signature__")
        written = {k: v for base in reversed(cls.__mro__) for k, v in vars(base).get("__annotations__", {}).items()}
        return inspect.Signature(
            [
                inspect.Parameter(
                    name,
                    inspect.Parameter.KEYWORD_ONLY,
                    default=getattr(cls, name, inspect.Parameter.empty),
                    annotation=written[name],
                )
                for name in field_names(cls)
            ]
        )


def _install(cls: type[Record]) -> None:
    """Our constructor, which raises ConfigError, and signature; pydantic replaces them whenever it builds a class."""
    made: Any = cls
    made.__init__ = _init
    made.__signature__ = _Signature()


def _defining_frame() -> FrameType:
    frame = sys._getframe(1)
    while frame.f_code.co_name == "__init_subclass__" and frame.f_back:
        frame = frame.f_back
    return frame


def field_names(cls: type[Any]) -> list[str]:
    """Names of the fields, in the order of their definition."""
    return [field.name for field in dataclasses.fields(cls)]


def values(record: Record) -> dict[str, Any]:
    """The fields of a record by name, not copied."""
    return {name: getattr(record, name) for name in field_names(type(record))}


def walk_spaces(value: Any, path: Path = (), *, nested: bool = True) -> Iterator[tuple[Path, Space]]:
    """Every search space below a value, not those inside a space's options; ``nested``: in inner records too."""
    if isinstance(value, Space):
        yield path, value
    elif isinstance(value, Record):
        for name, part in values(value).items() if nested and value.is_open else ():
            yield from walk_spaces(part, (*path, name))
    else:
        for step, part in children(value):
            yield from walk_spaces(part, (*path, step), nested=nested)


def scope(cls: type[Any]) -> dict[str, Any]:
    """The names around a class defined inside a function, or in a doctest, whose globals are no module's."""
    frame = _SCOPES.get(cls)
    return dict(frame.f_locals) if frame else {}


def decode(record: type[Any], value: Any) -> Any:
    """What a field typed as a record takes: such a record, or a mapping (or tag) from a file."""
    if isinstance(value, record):
        return value
    if not isinstance(value, (str, Mapping)) or isinstance(value, Record):
        raise refuse(f"got {value!r}; expected a {record.__name__}")
    cls, given = record._choose({"type": value} if isinstance(value, str) else value)
    made = cls.__new__(cls)
    _fill(made, (), given)
    return made


def _is_default(record: Record, name: str, value: Any) -> bool:
    field = next(field for field in dataclasses.fields(cast(Any, record)) if field.name == name)
    default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
    return type(value) is type(default) and bool(value == default)


def _init(self: Record, *args: Any, **given: Any) -> None:
    try:
        _fill(self, args, given)
    except ValidationError as error:
        raise ConfigProblems(type(self).__name__, problems_of(error)) from None


def _fill(self: Record, args: tuple[Any, ...], given: Mapping[str, Any]) -> None:
    """Validate the fields into ``self``; on mistakes raise one translated error: outer records add their path to it."""
    cls = type(self)
    if "_prepared" not in cls.__dict__:
        _prepare(cls)
    leaves: list[Any] = []
    fields = {name: value if type(value) in PLAIN else freeze(value, leaves) for name, value in given.items()}
    has_spaces = Space in map(type, leaves)
    try:
        if has_spaces:
            _fill_open(self, fields)
        else:
            _validate(self, args, fields)
    except ValidationError as error:
        raise translate(error, given, field_names(cls)) from None
    inner = leaves and any(getattr(leaf, "is_open", False) for leaf in leaves)
    if inner or has_spaces or cls._open_defaults.difference(given):
        object.__setattr__(self, "is_open", True)


def _validate(self: Record, args: tuple[Any, ...], fields: dict[str, Any]) -> None:
    made: Any = type(self)
    made.__pydantic_validator__.validate_python(ArgsKwargs(args, fields), self_instance=self)


def _fill_open(self: Record, fields: dict[str, Any]) -> None:
    """Validate every end or option of every space in its place; then the spaces stand there."""
    holes = list(walk_spaces(fields, nested=False))
    first = _trial(self, _close(fields, holes))
    own = [hole for hole in holes if _at(first, hole[0]) is not ELSEWHERE]
    closed = _close(fields, own)
    legal = {path: [_at(_trial(self, put(closed, path, arg)), path) for arg in one.args] for path, one in own}
    _validate_open(self, closed)
    whole: Any = vars(self)
    for path, one in own:
        whole = put(whole, path, Space(one.kind, tuple(legal[path])))
    for name in {path[0] for path in legal}:
        object.__setattr__(self, str(name), whole[name])


def _close(fields: Any, holes: list[tuple[Path, Space]]) -> Any:
    for path, one in holes:
        fields = put(fields, path, one.args[0])
    return fields


def _trial(self: Record, fields: dict[str, Any]) -> Record:
    trial = type(self).__new__(type(self))
    _validate_open(trial, fields)
    return trial


def _at(record: Record, path: Path) -> Any:
    """The value at a path; ELSEWHERE if a mapping on the way became a record, which sees to its own spaces."""
    found: Any = vars(record)
    for step in path:
        if isinstance(found, Record):
            return ELSEWHERE
        found = found[step]
    return found


def _validate_open(self: Record, fields: dict[str, Any]) -> None:
    """Validate each field; what ``__post_init__`` says of them together waits until the spaces are resolved."""
    try:
        _validate(self, (), fields)
    except ValidationError as error:
        if any(detail["loc"] for detail in error.errors()):
            raise


def _prepare(cls: type[Record]) -> None:
    """At first use: evaluate the annotations, put our rules in them, make the validator, check the defaults."""
    try:
        evaluated = hints(cls, scope(cls))
    except NameError as error:
        raise ConfigError(f"{cls.__name__}: {error}", hint="import or define it beside the class") from None
    made: Any = cls
    own = {
        name: copy.copy(field) for name, field in made.__dataclass_fields__.items()
    }  # a base class shares its fields
    for name in field_names(cls):
        own[name].type = strict(evaluated[name], Record, decode)
    made.__dataclass_fields__ = own
    rebuild_dataclass(made, force=True)
    _install(cls)
    defaults = {n: own[n].default for n in field_names(cls) if own[n].default is not dataclasses.MISSING}
    cls._open_defaults = frozenset(name for name, value in defaults.items() if next(walk_spaces(value), None))
    cls._prepared = cls.__qualname__
    _check_defaults(cls, defaults)


def _check_defaults(cls: type[Record], defaults: Mapping[str, Any]) -> None:
    """Each default must be legal alone; whether they go together, ``__post_init__`` says of an instance."""
    try:
        _fill(cls.__new__(cls), (), defaults)
    except ValidationError as error:
        wrong = [problem for problem in problems_of(error) if problem.path and problem.path[0] in defaults]
        if wrong:
            raise ConfigProblems(f"default of {cls.__name__}", wrong) from None

"""Records: a subclass of ``Record`` becomes a frozen, keyword-only, validated pydantic dataclass."""

from __future__ import annotations

import copy
import copyreg
import dataclasses
import inspect
import sys
import typing
import weakref
from collections.abc import Mapping
from types import FrameType
from typing import Any, ClassVar, Self, dataclass_transform

from pydantic import ConfigDict, ValidationError
from pydantic.dataclasses import dataclass, rebuild_dataclass

from dltools.cfgutils.annotations import strict
from dltools.cfgutils.frozen import PLAIN, freeze, source
from dltools.cfgutils.problems import ConfigProblems, Problem, problems_of
from dltools.cfgutils.spaces import Space
from dltools.errors import ConfigError

PYDANTIC = ConfigDict(strict=True, extra="forbid", defer_build=True, arbitrary_types_allowed=True)
RESERVED = frozenset({"build", "include", "is_open", "product", "replace", "tag", "type"})
_SCOPES: weakref.WeakKeyDictionary[type[Any], FrameType] = weakref.WeakKeyDictionary()


def _missing() -> Any:
    return dataclasses.MISSING


# cloudpickle (Ray) would make a second MISSING in the other process, and dataclasses compares it by identity.
copyreg.pickle(type(dataclasses.MISSING), lambda _: (_missing, ()))


class Signature:
    """``inspect.signature`` of a config's class, or of its product's: the fields as written, all by name."""

    def __init__(self, config: type[Any]) -> None:
        self.config: type[Any] = config

    def __get__(self, instance: Any, cls: type[Any]) -> inspect.Signature:
        if instance is not None:
            raise AttributeError("__signature__")
        kind, empty = inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.empty
        made = []
        for field in dataclasses.fields(self.config):
            default = empty if field.default is dataclasses.MISSING else field.default
            made.append(inspect.Parameter(field.name, kind, default=default, annotation=field.type))
        return inspect.Signature(made)


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
    _open_defaults: ClassVar[Mapping[str, Any]]

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
        cls = type(self)
        defaults = {name: getattr(cls, name, dataclasses.MISSING) for name in field_names(cls)}
        changed = {k: v for k, v in values(self).items() if type(v) is not type(defaults[k]) or v != defaults[k]}
        return f"{cls.__name__}({', '.join(f'{name}={source(value)}' for name, value in changed.items())})"

    @classmethod
    def _choose(cls, given: Mapping[str, Any]) -> tuple[type[Record], Mapping[str, Any]]:
        """The class that a mapping of a file means, and its fields."""
        return cls, given

    @classmethod
    def _decode(cls, value: Any) -> Any:
        """What a field typed as this class takes: such a record, or a mapping (or tag) from a file."""
        if isinstance(value, cls):
            return value
        if not isinstance(value, (str, Mapping)):
            raise ConfigError(f"got {value!r}; expected a {cls.__name__}")
        chosen, given = cls._choose({"type": value} if isinstance(value, str) else value)
        made: Any = chosen.__new__(chosen)
        _fill(made, given)
        return made


def _install(cls: type[Record]) -> None:
    """Our constructor, which raises ConfigError, and signature; pydantic replaces them whenever it builds a class."""
    made: Any = cls
    made.__init__ = _init
    made.__signature__ = Signature(cls)


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


def scope(cls: type[Any]) -> dict[str, Any]:
    """The names around a class defined inside a function, or in a doctest, whose globals are no module's."""
    frame = _SCOPES.get(cls)
    return dict(frame.f_locals) if frame else {}


def hints(cls: type[Any]) -> dict[str, Any]:
    """The annotations of a class and its bases, evaluated."""
    return typing.get_type_hints(cls, localns=scope(cls) or None, include_extras=True)


def _init(self: Record, *args: Any, **given: Any) -> None:
    if args:
        raise ConfigProblems(type(self).__name__, [Problem((), "takes its fields by name only")])
    _fill(self, given)


def _fill(self: Record, given: Mapping[str, Any]) -> None:
    """Validate the fields into ``self``; a record inside another one adds its path to the mistakes of the inner."""
    cls: Any = type(self)
    if "_open_defaults" not in cls.__dict__:
        _prepare(cls)
    found: list[Any] = []
    if cls._open_defaults:
        given = {**cls._open_defaults, **given}
    fields = {name: value if type(value) in PLAIN else freeze(value, found) for name, value in given.items()}
    validator = (_with_spaces(cls) if found and Space in map(type, found) else cls).__pydantic_validator__
    try:
        validator.validate_python(fields, self_instance=self)
    except ValidationError as error:
        raise ConfigProblems(cls.__name__, problems_of(error, given, field_names(cls))) from None
    if found and any(one.is_open for one in found):
        object.__setattr__(self, "is_open", True)


def _prepare(cls: Any) -> None:
    """At first use: make the validator, and check that each default is legal alone."""
    written = cls.__dataclass_fields__
    cls.__dataclass_fields__ = {field.name: field for field in _strict_fields(cls, spaces=False)}
    rebuild_dataclass(cls, force=True)
    cls.__dataclass_fields__ = written
    _install(cls)
    defaults = {f.name: f.default for f in dataclasses.fields(cls) if f.default is not dataclasses.MISSING}
    found: list[Any] = []
    freeze(defaults, found)
    cls._open_defaults = defaults if any(one.is_open for one in found) else {}
    try:
        _fill(cls.__new__(cls), defaults)
    except ConfigProblems as error:
        wrong = [problem for problem in error.problems if problem.path and problem.path[0] in defaults]
        if wrong:
            raise ConfigProblems(f"default of {cls.__name__}", wrong) from None


def _with_spaces(cls: Any) -> Any:
    """A class of the same fields that takes search spaces; without ``__post_init__``, which waits for their values."""
    fields = [(field.name, field.type, field) for field in _strict_fields(cls, spaces=True)]
    return dataclass(config=PYDANTIC)(dataclasses.make_dataclass(cls.__name__, fields, kw_only=True))


def _strict_fields(cls: Any, *, spaces: bool) -> list[dataclasses.Field[Any]]:
    """Copies of the fields with our rules in their annotations."""
    try:
        evaluated = hints(cls)
    except NameError as error:
        raise ConfigError(f"{cls.__name__}: {error}", hint="import or define it beside the class") from None
    fields = [copy.copy(field) for field in dataclasses.fields(cls)]
    for field in fields:
        field.type = strict(evaluated[field.name], spaces=spaces)
    return fields

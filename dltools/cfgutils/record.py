"""Records: a subclass of ``Record`` becomes a frozen, keyword-only, validated pydantic dataclass."""

from __future__ import annotations

import copy
import copyreg
import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Self, dataclass_transform

from pydantic.dataclasses import dataclass

from dltools._introspect import field_names, hints, note_scope
from dltools._plain import PLAIN, freeze, source
from dltools.cfgutils.annotations import STRICT, problems_of, strict
from dltools.cfgutils.values import space, values
from dltools.errors import ConfigError, ConfigProblems

# cloudpickle (Ray) would make a second MISSING in the other process, and dataclasses compares it by identity.
copyreg.pickle(type(dataclasses.MISSING), lambda _: "MISSING")


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(dataclasses.field,))
class Record:
    """Validated, read-only fields without a product: nested settings, a script's own top-level config.

    >>> class TrainCfg(Record):
    ...     lr: float = 1e-3
    >>> TrainCfg(lr=0.1).replace(lr=0.2)
    TrainCfg(lr=0.2)
    >>> TrainCfg(lrr=0.1)
    Traceback (most recent call last):
    dltools.errors.ConfigProblems: TrainCfg: lrr: unknown; did you mean 'lr'?
    """

    is_open: ClassVar[bool] = False
    """Whether a search space stands in one of the fields, at any depth."""
    _twin: ClassVar[Any] = None
    _open_defaults: ClassVar[frozenset[str]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._twin, given = None, vars(cls)
        for name in given.get("__annotations__", ()):
            if isinstance(given.get(name), (dict, list)):
                setattr(cls, name, freeze(given[name], []))
        note_scope(cls)
        dataclass(frozen=True, kw_only=True, repr=False)(cls)
        del cls.__init__  # pydantic's
        for name in {"build", "include", "is_open", "product", "replace", "tag", "type"}.intersection(field_names(cls)):
            raise ConfigError(f"{cls.__qualname__} has a field {name!r}", expected="another name; this one is taken")

    def __init__(self, /, *args: Any, **given: Any) -> None:
        """Validate the fields; a record inside another one adds its path to the mistakes of the inner."""
        cls, found = type(self), list[Any]()
        if args:
            raise ConfigError(f"{cls.__name__} takes its fields by name only")
        validator = (cls._twin or twin(cls)).__pydantic_validator__
        fields = {name: value if type(value) in PLAIN else freeze(value, found) for name, value in given.items()}
        try:
            validator.validate_python(fields, self_instance=self)
            if (found and any(getattr(one, "is_open", False) for one in found)) or cls._open_defaults.difference(given):
                object.__setattr__(self, "is_open", True)
            elif (check := getattr(self, "__post_init__", None)) is not None:
                check()
        except ValueError as error:
            raise ConfigProblems.at(cls.__name__, problems_of(error, given, field_names(cls))) from None

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed, validated again."""
        return type(self)(**{**values(self), **changes})

    def __repr__(self) -> str:
        """Source that makes an equal config; fields at their defaults are left out."""
        shown, cls = list[str](), type(self)
        for name, value in values(self).items():
            default = getattr(cls, name, dataclasses.MISSING)
            if type(value) is not type(default) or value != default:
                shown.append(f"{name}={source(value)}")
        return f"{cls.__name__}({', '.join(shown)})"

    @classmethod
    def _decode(cls, value: Any) -> Any:
        """What a field typed as this class takes: such a record, or a mapping (or tag) from a file."""
        if isinstance(value, cls):
            return value
        given = {"type": value} if isinstance(value, str) else value
        if not isinstance(given, Mapping):
            raise ConfigError(f"got {value!r}; expected a {cls.__name__}")
        chosen, given = cls._choose(given)
        return chosen(**{str(name): part for name, part in given.items()})

    @classmethod
    def _choose(cls, given: Mapping[str, Any]) -> tuple[type[Record], Mapping[str, Any]]:
        """The class that a mapping of a file means, and its fields."""
        return cls, given


def twin(cls: Any) -> Any:
    """The class whose validator has our rules in the annotations of the fields; made at first use."""
    if not cls._twin:
        evaluated, fields = hints(cls), dataclasses.fields(cls)
        strictly = [(field.name, strict(evaluated[field.name]), copy.copy(field)) for field in fields]
        cls._open_defaults = frozenset(field.name for field in fields if space(field.default))
        cls._twin = dataclass(config=STRICT)(dataclasses.make_dataclass(cls.__name__, strictly, kw_only=True))
    return cls._twin

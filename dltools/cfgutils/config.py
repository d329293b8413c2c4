"""Configs: records that name what they build. Families, tags, products."""

from __future__ import annotations

import contextlib
import sys
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, ForwardRef, Generic, ParamSpec, Protocol, TypeVar, cast, get_args

from dltools.cfgutils.record import Record, scope
from dltools.cfgutils.search import space
from dltools.errors import ConfigError, did_you_mean

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
P = ParamSpec("P")

_TAGS: weakref.WeakValueDictionary[tuple[type[Any], str], type[Config[Any]]] = weakref.WeakValueDictionary()


class Config(Record, Generic[T_co]):
    """A record that names what it builds.

    A *family* is an abstract config, generic in its product, that declares how to build it; a concrete config names
    its product and is final:

    >>> class ScaleCfg(Config[T]):
    ...     def build(self) -> T:
    ...         return self.product()(self)
    >>> class DoubleCfg(ScaleCfg["Double"]):
    ...     by: float = 2.0
    >>> class Double:
    ...     def __init__(self, cfg):
    ...         self.cfg = cfg
    >>> build(DoubleCfg(by=3.0)).cfg
    DoubleCfg(by=3.0)
    """

    tag: ClassVar[str] = ""
    """What files and the command line call it: the class name less ``Cfg``; empty for a family."""
    _target: ClassVar[Any] = None
    """The product's class; its name until it is first needed."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        final = next((base for base in cls.__mro__[1:] if getattr(base, "tag", "")), None)
        if final:
            hint = "derive both from a common family, a generic config that names no product"
            raise ConfigError(f"{cls.__qualname__} derives from {final.__qualname__}, which is final", hint=hint)
        named = [arg for base in vars(cls).get("__orig_bases__", ()) for arg in get_args(base)]
        target = next((arg for arg in named if not isinstance(arg, TypeVar)), None)
        cls._target = target.__forward_arg__ if isinstance(target, ForwardRef) else target
        cls.tag = "" if target is None else cls.__name__.removesuffix("Cfg")
        super().__init_subclass__(**kwargs)
        if cls.tag:
            _register(cls)

    def product(self) -> Callable[..., T_co]:
        """The class to build, looked up beside the config when first needed."""
        cls = type(self)
        if self.is_open:
            given = f"{cls.__name__} has search spaces: {', '.join(space(self))}"
            raise ConfigError(given, hint="sample(cfg, seed) or resolve(cfg, values)")
        if cls._target is None:
            raise ConfigError(f"{cls.__name__} is a family and builds nothing", expected=_one_of(cls))
        return cast(Callable[..., T_co], product_class(cls))

    def __getstate__(self) -> dict[str, Any]:
        """A class that cloudpickle sends by value takes its product along."""
        with contextlib.suppress(ConfigError):
            product_class(type(self))
        return vars(self)

    @classmethod
    def _choose(cls, given: Mapping[str, Any]) -> tuple[type[Record], Mapping[str, Any]]:
        fields = {name: value for name, value in given.items() if name != "type"}
        if "type" in given:
            return member(cls, given["type"]), fields
        if not cls.tag:
            raise ConfigError(f"type is missing; expected {_one_of(cls)}")
        return cls, fields


class Buildable(Protocol[P, T_co]):
    """What has a typed ``build``: every config, with the run-time arguments of its family."""

    def build(self, *args: P.args, **kwargs: P.kwargs) -> T_co:
        """Make the product."""
        ...


def build(cfg: Buildable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Make what a config names, from the config and the run-time arguments of its family."""
    if not isinstance(cfg, Config) or not hasattr(cfg, "build"):
        raise ConfigError(f"build got {cfg!r}", expected="a config that names a product, such as DiceLossCfg()")
    return cfg.build(*args, **kwargs)


def members(family: type[Config[Any]]) -> dict[str, type[Config[Any]]]:
    """The concrete configs of a family that are defined so far, by tag; one defined again replaces its namesake."""
    known = {family.tag: family} if family.tag else {}
    for child in family.__subclasses__():
        known.update(members(child))
    return known


def member(family: type[Config[Any]], tag: Any) -> type[Config[Any]]:
    """The config of a family that a tag names; if it is not known yet, the family's home package is asked for it."""
    if not isinstance(tag, str):
        raise ConfigError(f"type is {tag!r}; expected {_one_of(family)}")
    if (known := members(family).get(tag)) is not None:
        return known
    for home in _homes(family):
        found = getattr(home, f"{tag}Cfg", None) if f"{tag}Cfg" in dir(home) else None
        if isinstance(found, type) and issubclass(found, family) and found.tag:
            return found
    elsewhere = members(Config).get(tag)
    belongs = f" ({tag} belongs to {_root(elsewhere).__name__})" if elsewhere else ""
    raise ConfigError(f"type is {tag!r}{belongs}, no {family.__name__}; {did_you_mean(tag, tags(family))}")


def tags(family: type[Config[Any]]) -> list[str]:
    """Every tag that a field of this family takes: those defined so far and those of its home package."""
    for home in _homes(family):
        for name in dir(home):
            if name.endswith("Cfg"):
                getattr(home, name)  # imports its module
    return sorted(members(family))


def _homes(family: type[Any]) -> Iterator[Any]:
    """The packages around the family's module, the nearest first: ``dltools.losses`` for ``dltools.losses.base``."""
    parts = family.__module__.split(".")
    for n in range(len(parts) - 1, 1, -1):
        if (package := sys.modules.get(".".join(parts[:n]))) is not None:
            yield package


def _one_of(family: type[Config[Any]]) -> str:
    return f"one of {', '.join(tags(family))}"


def _root(cls: type[Any]) -> type[Any]:
    """The outermost family of a config, in which its tag is unique."""
    return next((base for base in reversed(cls.__mro__) if issubclass(base, Config) and base is not Config), cls)


def _register(cls: type[Config[Any]]) -> None:
    key = (_root(cls), cls.tag)
    other = _TAGS.get(key)
    if other is not None and _home(other) != _home(cls):
        raise ConfigError(f"{_home(cls)} and {_home(other)} have the same tag {cls.tag!r}", hint="rename one of them")
    _TAGS[key] = cls


def _home(cls: type[Any]) -> str:
    """Where a class stands; two functions of one module may each have a local class of the same name."""
    return f"{cls.__module__}.{cls.__qualname__.rpartition('<locals>.')[2]}"


def product_class(cls: type[Config[Any]]) -> Any:
    """The product's class; kept on the config's class once it is known."""
    if isinstance(cls._target, str):
        names = {**vars(sys.modules[cls.__module__]), **scope(cls)}
        head, *inner = cls._target.split(".")
        found: Any = names.get(head)
        for part in inner:
            found = getattr(found, part, None)
        if found is None:
            given = f"{cls.__name__} builds {cls._target!r}, which {cls.__module__} does not define"
            raise ConfigError(given, hint=did_you_mean(cls._target, names))
        cls._target = found
    return cls._target

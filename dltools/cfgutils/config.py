"""Configs: records that name what they build. Families, tags, products."""

from __future__ import annotations

import contextlib
import sys
import weakref
from collections.abc import Callable, Mapping
from operator import attrgetter
from types import SimpleNamespace
from typing import Any, ClassVar, ForwardRef, Generic, ParamSpec, Protocol, TypeVar, cast

from dltools._introspect import base_arguments, full_name, scope
from dltools.cfgutils.record import Record
from dltools.cfgutils.values import Space, space
from dltools.errors import ConfigError, did_you_mean

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
P = ParamSpec("P")

_KNOWN: weakref.WeakValueDictionary[tuple[str, str], type[Config[Any]]] = weakref.WeakValueDictionary()
"""The concrete configs that are defined so far, by the place of their outermost family and their tag."""


class Config(Record, Generic[T_co]):
    """A record that names what it builds.

    A *family* is an abstract config that declares how to build; a concrete one names its product, and is final:

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
    _root: ClassVar[type[Any]] = object
    """The outermost family, in which a tag is unique."""
    _target: ClassVar[Any] = None
    """The product's class; its name until it is first needed."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        for base in cls.__mro__[1:]:
            if getattr(base, "tag", ""):
                hint = "derive both from a common family, a generic config that names no product"
                raise ConfigError(f"{cls.__qualname__} derives from {base.__qualname__}, which is final", hint=hint)
        target = next((arg for arg in base_arguments(cls) if not isinstance(arg, TypeVar)), None)
        cls._target = target.__forward_arg__ if isinstance(target, ForwardRef) else target
        cls.tag = "" if target is None else cls.__name__.removesuffix("Cfg")
        cls._root = cls.__mro__[cls.__mro__.index(Config) - 1]
        super().__init_subclass__(**kwargs)
        if cls.tag:
            key, name = (full_name(cls._root), cls.tag), full_name(cls)
            if (other := full_name(_KNOWN.get(key, cls))) != name:
                raise ConfigError(f"{name} and {other} have the same tag {cls.tag!r}", hint="rename one of them")
            _KNOWN[key] = cls

    def product(self) -> Callable[..., T_co]:
        """The class to build, looked up beside the config when first needed."""
        name = type(self).__name__
        if self.is_open:
            given = f"{name} has search spaces: {', '.join(space(self))}"
            raise ConfigError(given, hint="sample(cfg, seed) or resolve(cfg, values)")
        if not self.tag:
            raise ConfigError(f"{name} is a family and builds nothing", f"one of {', '.join(tags(type(self)))}")
        return cast(Callable[..., T_co], product_class(type(self)))

    def __getstate__(self) -> dict[str, Any]:
        """A class that cloudpickle sends by value takes its product along."""
        with contextlib.suppress(ConfigError):
            product_class(type(self))
        return vars(self)

    @classmethod
    def _choose(cls, given: Mapping[str, Any]) -> tuple[type[Record], Mapping[str, Any]]:
        fields = {name: value for name, value in given.items() if name != "type"}
        if "type" not in given and cls.tag:
            return cls, fields
        if "type" not in given:
            raise ConfigError(f"type is missing; say it even of the default; {did_you_mean('', tags(cls))}")
        tag = str(given["type"])
        for found in (members(cls).get(tag), getattr(_home(cls), f"{tag}Cfg", None)):  # which imports its module
            if isinstance(found, type) and issubclass(found, cls) and found.tag:
                return found, fields
        of = next((f" ({tag} belongs to {at.rpartition('.')[2]})" for at, other in list(_KNOWN) if other == tag), "")
        raise ConfigError(f"type is {given['type']!r}{of}, no {cls.__name__}; {did_you_mean(tag, tags(cls))}")


class Buildable(Protocol[P, T_co]):
    """What has a typed ``build``: every config, with the run-time arguments of its family."""

    def build(self, *args: P.args, **kwargs: P.kwargs) -> T_co:
        """Make the product."""
        ...


def build(cfg: Buildable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Make what a config names, from the config and the run-time arguments of its family."""
    if not isinstance(cfg, Config) or not hasattr(cfg, "build"):
        hint = "sample(cfg, seed) or resolve(cfg, values)" if isinstance(cfg, Space) else ""
        raise ConfigError(f"build got {cfg!r}", "a config that names a product, such as DiceLossCfg()", hint)
    return cfg.build(*args, **kwargs)


def members(family: type[Config[Any]]) -> dict[str, type[Config[Any]]]:
    """The concrete configs of a family that are defined so far, by tag; one defined again replaces its namesake."""
    return {cls.tag: cls for cls in list(_KNOWN.values()) if issubclass(cls, family)}


def tags(family: type[Config[Any]]) -> list[str]:
    """Every tag that a field of this family takes: those defined so far and those of its home package."""
    for name in dir(home := _home(family)):
        if name.endswith("Cfg"):
            getattr(home, name)  # imports its module
    return sorted(members(family))


def product_class(cls: type[Config[Any]]) -> Any:
    """The product's class; kept on the config's class once it is known."""
    if isinstance(cls._target, str):
        names = {**vars(sys.modules[cls.__module__]), **scope(cls)}
        try:
            cls._target = attrgetter(cls._target)(SimpleNamespace(**names))
        except AttributeError:
            given = f"{cls.__name__} builds {cls._target!r}, which {cls.__module__} does not define"
            raise ConfigError(given, hint=did_you_mean(cls._target, names)) from None
    return cls._target


def _home(family: type[Config[Any]]) -> Any:
    """The package around the outermost family: ``dltools.losses`` for ``dltools.losses.base``."""
    return sys.modules.get(family._root.__module__.rpartition(".")[0])

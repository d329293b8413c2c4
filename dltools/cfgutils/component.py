"""The product's side: it keeps its config, and prints as source."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar, Generic, TypeVar

from dltools._introspect import base_arguments
from dltools.cfgutils.config import Config
from dltools.errors import ConfigError

C = TypeVar("C", bound=Config[Any])


class _Signature:
    """What ``inspect.signature`` says of a component's class: the fields of its config."""

    def __get__(self, instance: Any, cls: Any) -> inspect.Signature:
        if instance is not None:
            raise AttributeError("__signature__")
        return inspect.signature(cls.config)


class Component(Generic[C]):
    """What a config builds without run-time arguments: a loss, a metric, a writer, an augmentation.

    ``XxxLoss(alpha=.3)`` is short for ``build(XxxLossCfg(alpha=.3))``; the config class is read off the base,
    ``OverlapLoss[TverskyLossCfg]``. What a component prepares from its config stands in ``setup``.
    """

    cfg: C
    config: ClassVar[type[Config[Any]]]
    __signature__: ClassVar[_Signature] = _Signature()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for arg in base_arguments(cls):
            if isinstance(arg, type) and issubclass(arg, Config):
                cls.config = arg

    def __init__(self, cfg: C | None = None, /, **fields: Any) -> None:
        super().__init__()
        config: Any = type(self).config
        if cfg is not None and (fields or not isinstance(cfg, config)):
            raise ConfigError(f"{type(self).__name__} got {cfg!r}", f"a {config.__name__}, or its fields by name")
        self.cfg = cfg if cfg is not None else config(**fields)
        self.cfg.product()
        self.setup()

    def setup(self) -> None:
        """Prepare what the config asks for; nothing by default."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({repr(self.cfg).partition('(')[2]}"

"""The product's side: it keeps its config, and prints as source."""

from __future__ import annotations

from typing import Any, ClassVar, Generic, TypeVar, get_args

from dltools.cfgutils.config import Config
from dltools.cfgutils.record import Signature
from dltools.errors import ConfigError

C = TypeVar("C", bound=Config[Any])


class Component(Generic[C]):
    """What a config builds without run-time arguments: a loss, a metric, a writer, an augmentation.

    ``XxxLoss(alpha=.3)`` is short for ``build(XxxLossCfg(alpha=.3))``; the config class is read off the base,
    ``OverlapLoss[TverskyLossCfg]``. What a component prepares from its config stands in ``setup``.
    """

    cfg: C
    config: ClassVar[type[Config[Any]] | None] = None
    __signature__: Signature

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for base in vars(cls).get("__orig_bases__", ()):
            for arg in get_args(base):
                if isinstance(arg, type) and issubclass(arg, Config):
                    cls.config = arg
                    cls.__signature__ = Signature(arg)

    def __init__(self, cfg: C | None = None, /, **fields: Any) -> None:
        super().__init__()
        config = type(self).config
        if config is None:
            raise ConfigError(f"{type(self).__name__} names no config", expected="a base with one: Base[XxxCfg]")
        if cfg is not None and (fields or not isinstance(cfg, config)):
            raise ConfigError(
                f"{type(self).__name__} got {cfg!r}", expected=f"a {config.__name__}, or its fields by name"
            )
        self.cfg = cfg if cfg is not None else config(**fields)  # type: ignore[assignment]
        self.cfg.product()
        self.setup()

    def setup(self) -> None:
        """Prepare what the config asks for; nothing by default."""

    def __repr__(self) -> str:
        changed = repr(self.cfg).partition("(")[2]
        return f"{type(self).__name__}({changed}"

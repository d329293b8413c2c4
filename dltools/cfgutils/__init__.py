"""Configs as validated dataclasses: declare, build, load, dump, override, search."""

from typing import TYPE_CHECKING

from dltools._lazy import lazy

if TYPE_CHECKING:
    from dltools.cfgutils.annotations import NonNegative as NonNegative
    from dltools.cfgutils.annotations import NonNegativeInt as NonNegativeInt
    from dltools.cfgutils.annotations import Positive as Positive
    from dltools.cfgutils.annotations import PositiveInt as PositiveInt
    from dltools.cfgutils.annotations import Unit as Unit
    from dltools.cfgutils.component import Component as Component
    from dltools.cfgutils.config import Buildable as Buildable
    from dltools.cfgutils.config import Config as Config
    from dltools.cfgutils.config import build as build
    from dltools.cfgutils.describe import cli as cli
    from dltools.cfgutils.describe import schema as schema
    from dltools.cfgutils.files import dump as dump
    from dltools.cfgutils.files import fingerprint as fingerprint
    from dltools.cfgutils.files import load as load
    from dltools.cfgutils.files import override as override
    from dltools.cfgutils.record import Record as Record
    from dltools.cfgutils.values import Space as Space
    from dltools.cfgutils.values import choice as choice
    from dltools.cfgutils.values import grid as grid
    from dltools.cfgutils.values import integers as integers
    from dltools.cfgutils.values import loguniform as loguniform
    from dltools.cfgutils.values import resolve as resolve
    from dltools.cfgutils.values import sample as sample
    from dltools.cfgutils.values import space as space
    from dltools.cfgutils.values import uniform as uniform
else:
    __getattr__, __dir__ = lazy(__name__)

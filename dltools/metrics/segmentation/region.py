"""Overlap of regions: the statistical measures under the names that segmentation uses."""

from __future__ import annotations

from dltools.metrics.statistical.overlap import Dice as Dice
from dltools.metrics.statistical.overlap import DiceCfg as DiceCfg
from dltools.metrics.statistical.overlap import GeneralizedDice as GeneralizedDice
from dltools.metrics.statistical.overlap import GeneralizedDiceCfg as GeneralizedDiceCfg
from dltools.metrics.statistical.overlap import IoU as IoU
from dltools.metrics.statistical.overlap import IoUCfg as IoUCfg

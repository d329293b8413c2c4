"""Metrics: states counted on the device, merged over ranks in one collective, read on the host in float64."""

from typing import TYPE_CHECKING

from dltools._lazy import lazy

if TYPE_CHECKING:
    from dltools.metrics.base import Metric as Metric
    from dltools.metrics.base import MetricCfg as MetricCfg
    from dltools.metrics.classification.accuracy import Accuracy as Accuracy
    from dltools.metrics.classification.accuracy import AccuracyCfg as AccuracyCfg
    from dltools.metrics.classification.accuracy import BalancedAccuracy as BalancedAccuracy
    from dltools.metrics.classification.accuracy import BalancedAccuracyCfg as BalancedAccuracyCfg
    from dltools.metrics.classification.accuracy import ExactMatch as ExactMatch
    from dltools.metrics.classification.accuracy import ExactMatchCfg as ExactMatchCfg
    from dltools.metrics.classification.accuracy import HammingLoss as HammingLoss
    from dltools.metrics.classification.accuracy import HammingLossCfg as HammingLossCfg
    from dltools.metrics.classification.confusion import ConfusionMetric as ConfusionMetric
    from dltools.metrics.classification.confusion import ConfusionMetricCfg as ConfusionMetricCfg
    from dltools.metrics.classification.matrix import ClassificationReport as ClassificationReport
    from dltools.metrics.classification.matrix import ClassificationReportCfg as ClassificationReportCfg
    from dltools.metrics.classification.matrix import ConfusionMatrix as ConfusionMatrix
    from dltools.metrics.classification.matrix import ConfusionMatrixCfg as ConfusionMatrixCfg
    from dltools.metrics.classification.rates import Precision as Precision
    from dltools.metrics.classification.rates import PrecisionCfg as PrecisionCfg
    from dltools.metrics.classification.rates import Recall as Recall
    from dltools.metrics.classification.rates import RecallCfg as RecallCfg
    from dltools.metrics.classification.rates import Specificity as Specificity
    from dltools.metrics.classification.rates import SpecificityCfg as SpecificityCfg
    from dltools.metrics.collection import Metrics as Metrics
    from dltools.metrics.collection import MetricsCfg as MetricsCfg
    from dltools.metrics.distutils import EvalSampler as EvalSampler
    from dltools.metrics.distutils import valid_mask as valid_mask
    from dltools.metrics.distutils import with_valid as with_valid
    from dltools.metrics.statistical.agreement import MCC as MCC
    from dltools.metrics.statistical.agreement import CohenKappa as CohenKappa
    from dltools.metrics.statistical.agreement import CohenKappaCfg as CohenKappaCfg
    from dltools.metrics.statistical.agreement import MatthewsCorrCoef as MatthewsCorrCoef
    from dltools.metrics.statistical.agreement import MatthewsCorrCoefCfg as MatthewsCorrCoefCfg
    from dltools.metrics.statistical.agreement import MCCCfg as MCCCfg
    from dltools.metrics.statistical.overlap import F1 as F1
    from dltools.metrics.statistical.overlap import Dice as Dice
    from dltools.metrics.statistical.overlap import DiceCfg as DiceCfg
    from dltools.metrics.statistical.overlap import F1Cfg as F1Cfg
    from dltools.metrics.statistical.overlap import FBeta as FBeta
    from dltools.metrics.statistical.overlap import FBetaCfg as FBetaCfg
    from dltools.metrics.statistical.overlap import GeneralizedDice as GeneralizedDice
    from dltools.metrics.statistical.overlap import GeneralizedDiceCfg as GeneralizedDiceCfg
    from dltools.metrics.statistical.overlap import IoU as IoU
    from dltools.metrics.statistical.overlap import IoUCfg as IoUCfg
    from dltools.metrics.statistical.overlap import Jaccard as Jaccard
    from dltools.metrics.statistical.overlap import JaccardCfg as JaccardCfg
    from dltools.metrics.target import Target as Target
    from dltools.metrics.target import TargetCfg as TargetCfg
    from dltools.metrics.target import Verdict as Verdict
else:
    __getattr__, __dir__ = lazy(__name__)

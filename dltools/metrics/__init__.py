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
    from dltools.metrics.classification.calibration import CalibrationError as CalibrationError
    from dltools.metrics.classification.calibration import CalibrationErrorCfg as CalibrationErrorCfg
    from dltools.metrics.classification.calibration import CalibrationMetric as CalibrationMetric
    from dltools.metrics.classification.calibration import CalibrationMetricCfg as CalibrationMetricCfg
    from dltools.metrics.classification.calibration import Reliability as Reliability
    from dltools.metrics.classification.calibration import ReliabilityCfg as ReliabilityCfg
    from dltools.metrics.classification.confusion import ConfusionMetric as ConfusionMetric
    from dltools.metrics.classification.confusion import ConfusionMetricCfg as ConfusionMetricCfg
    from dltools.metrics.classification.matrix import ClassificationReport as ClassificationReport
    from dltools.metrics.classification.matrix import ClassificationReportCfg as ClassificationReportCfg
    from dltools.metrics.classification.matrix import ConfusionMatrix as ConfusionMatrix
    from dltools.metrics.classification.matrix import ConfusionMatrixCfg as ConfusionMatrixCfg
    from dltools.metrics.classification.proper import BrierScore as BrierScore
    from dltools.metrics.classification.proper import BrierScoreCfg as BrierScoreCfg
    from dltools.metrics.classification.proper import LogLoss as LogLoss
    from dltools.metrics.classification.proper import LogLossCfg as LogLossCfg
    from dltools.metrics.classification.proper import ProperScore as ProperScore
    from dltools.metrics.classification.proper import ProperScoreCfg as ProperScoreCfg
    from dltools.metrics.classification.ranking import RankingMetric as RankingMetric
    from dltools.metrics.classification.ranking import RankingMetricCfg as RankingMetricCfg
    from dltools.metrics.classification.rankings import AUROC as AUROC
    from dltools.metrics.classification.rankings import AUROCCfg as AUROCCfg
    from dltools.metrics.classification.rankings import AveragePrecision as AveragePrecision
    from dltools.metrics.classification.rankings import AveragePrecisionCfg as AveragePrecisionCfg
    from dltools.metrics.classification.rankings import FMax as FMax
    from dltools.metrics.classification.rankings import FMaxCfg as FMaxCfg
    from dltools.metrics.classification.rankings import KolmogorovSmirnov as KolmogorovSmirnov
    from dltools.metrics.classification.rankings import KolmogorovSmirnovCfg as KolmogorovSmirnovCfg
    from dltools.metrics.classification.rankings import PRCurve as PRCurve
    from dltools.metrics.classification.rankings import PRCurveCfg as PRCurveCfg
    from dltools.metrics.classification.rankings import PrecisionAtRecall as PrecisionAtRecall
    from dltools.metrics.classification.rankings import PrecisionAtRecallCfg as PrecisionAtRecallCfg
    from dltools.metrics.classification.rankings import RecallAtPrecision as RecallAtPrecision
    from dltools.metrics.classification.rankings import RecallAtPrecisionCfg as RecallAtPrecisionCfg
    from dltools.metrics.classification.rankings import ROCCurve as ROCCurve
    from dltools.metrics.classification.rankings import ROCCurveCfg as ROCCurveCfg
    from dltools.metrics.classification.rankings import SensitivityAtSpecificity as SensitivityAtSpecificity
    from dltools.metrics.classification.rankings import SensitivityAtSpecificityCfg as SensitivityAtSpecificityCfg
    from dltools.metrics.classification.rates import Precision as Precision
    from dltools.metrics.classification.rates import PrecisionCfg as PrecisionCfg
    from dltools.metrics.classification.rates import Recall as Recall
    from dltools.metrics.classification.rates import RecallCfg as RecallCfg
    from dltools.metrics.classification.rates import Specificity as Specificity
    from dltools.metrics.classification.rates import SpecificityCfg as SpecificityCfg
    from dltools.metrics.classification.topk import TopKAccuracy as TopKAccuracy
    from dltools.metrics.classification.topk import TopKAccuracyCfg as TopKAccuracyCfg
    from dltools.metrics.classification.topk import TopKMetric as TopKMetric
    from dltools.metrics.classification.topk import TopKMetricCfg as TopKMetricCfg
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
    from dltools.metrics.text.perplexity import Perplexity as Perplexity
    from dltools.metrics.text.perplexity import PerplexityCfg as PerplexityCfg
else:
    __getattr__, __dir__ = lazy(__name__)

"""What the reference pages say of each component beside its own docstring: values that it can have, and what for."""

from __future__ import annotations

UNIT, POSITIVE, TWO = "0 to 1", "0 and up", "0 to 2"

LOSSES: dict[str, tuple[str, str]] = {
    "AdaptiveWingLoss": (POSITIVE, "heatmaps in which points are much rarer than background"),
    "AlphaIoULoss": (UNIT, "boxes whose last percents of overlap matter"),
    "ArcFaceLoss": (POSITIVE, "embeddings of many known identities, separated by angles"),
    "AsymmetricLoss": (POSITIVE, "many labels, of which an image has few; wrong negatives among them"),
    "BCELoss": (POSITIVE, "one class, or labels that do not exclude each other: the first to try"),
    "BoundaryF1Loss": (UNIT, "sharp contours, beside a loss of regions"),
    "BoundaryLoss": ("any, negative inside", "small or thin objects, beside Dice, with a weight that rises"),
    "CELoss": (POSITIVE, "classes that exclude each other: the first to try"),
    "CIoULoss": ("0 to about 3", "box regression; also pulls at centre and aspect ratio"),
    "CLDiceLoss": (UNIT, "vessels, roads: what must stay connected, beside Dice"),
    "CTCLoss": (POSITIVE, "sequences without alignment: speech, handwriting"),
    "CharbonnierLoss": ("epsilon and up", "image restoration; L1 with a smooth bottom"),
    "Combine": ("sum of its terms", "several losses at once, over one pass and one collective"),
    "ContrastiveLoss": (POSITIVE, "embeddings of pairs that are alike or not"),
    "CosFaceLoss": (POSITIVE, "embeddings of many known identities, separated by cosines"),
    "CosineLoss": (TWO, "vectors of which only the direction matters"),
    "DFLoss": (POSITIVE, "box sides as distributions over bins"),
    "DIoULoss": (TWO, "box regression; pulls at centres where boxes do not meet"),
    "DiceLoss": (UNIT, "segmentation with rare classes, mostly beside CELoss"),
    "EIoULoss": ("0 to about 4", "box regression; pulls at both sides apart"),
    "FBetaLoss": (UNIT, "overlap in which recall counts beta times as much as precision"),
    "FeatureMatchingLoss": (POSITIVE, "generators, on features of the discriminator"),
    "FocalLoss": (POSITIVE, "easy negatives by the thousand: dense detection, rare classes"),
    "FocalTverskyLoss": (UNIT, "small lesions; gamma < 1 turns to what is hard"),
    "GDiceLoss": (UNIT, "classes of very different sizes that should count alike"),
    "GIoULoss": (TWO, "box regression that has a slope for boxes apart"),
    "GaussianFocalLoss": (POSITIVE, "centre heatmaps with Gaussian targets"),
    "GaussianNLLLoss": ("any", "regression that also predicts its variance"),
    "HardestPixelsLoss": ("of its pixel loss", "images of mostly easy pixels"),
    "HausdorffERLoss": (POSITIVE, "worst distances between contours, without distance maps"),
    "HausdorffLoss": (POSITIVE, "worst distances between contours, beside Dice"),
    "HeatmapLoss": (POSITIVE, "heatmaps of key points"),
    "HingeGANLoss": (POSITIVE + ", any for the generator", "discriminators with spectral norm"),
    "HuberLoss": (POSITIVE, "regression with outliers; quadratic near 0"),
    "IoULoss": (UNIT, "box regression where boxes overlap already"),
    "JSLoss": ("0 to log 2", "noisy labels: bounded and symmetric"),
    "JaccardLoss": (UNIT, "segmentation judged by IoU"),
    "KLLoss": (POSITIVE, "distillation: soft targets of a teacher"),
    "L1Loss": (POSITIVE, "regression whose errors weigh alike; images"),
    "LDAMLoss": (POSITIVE, "long-tailed classes; margins by their number"),
    "LSGANLoss": (POSITIVE, "generators and discriminators, smoother than NSGAN"),
    "LogCoshLoss": (POSITIVE, "regression, between MSE and L1, smooth everywhere"),
    "LogitAdjustedLoss": (POSITIVE, "long-tailed classes, for balanced error"),
    "LovaszHingeLoss": (POSITIVE, "one class judged by IoU"),
    "LovaszSoftmaxLoss": (UNIT, "segmentation judged by IoU, for fine-tuning"),
    "MAPLoss": (UNIT, "rankings judged by average precision"),
    "MCCLoss": (TWO, "overlap that also counts true negatives"),
    "MPDIoULoss": ("0 to about 3", "box regression by corners"),
    "MSELoss": (POSITIVE, "regression with Gaussian errors"),
    "MSSSIMLoss": (TWO, "images judged at several scales"),
    "MultiMarginLoss": (POSITIVE, "classes by margins instead of probabilities"),
    "MultiSimilarityLoss": (POSITIVE, "embeddings; weighs pairs by how hard they are"),
    "NLLLoss": (POSITIVE, "models that end in log_softmax"),
    "NSGANLoss": (POSITIVE, "the original generator and discriminator"),
    "NTXentLoss": (POSITIVE, "self-supervised pairs of views (SimCLR)"),
    "NWDLoss": (UNIT, "tiny boxes, which barely overlap"),
    "OKSLoss": (UNIT, "key points judged by OKS"),
    "PerceptualLoss": (POSITIVE, "images by features of a fixed network"),
    "PoissonNLLLoss": ("any", "counts"),
    "PolyLoss": (POSITIVE, "cross entropy with one more knob"),
    "QualityFocalLoss": (POSITIVE, "detectors whose score is the IoU"),
    "QuantileLoss": (POSITIVE, "intervals: a quantile instead of the mean"),
    "SIoULoss": ("0 to about 3", "box regression that also sees the angle"),
    "SSIMLoss": (TWO, "images by structure"),
    "SmoothL1Loss": (POSITIVE, "box offsets; L1 that is quadratic near 0"),
    "SoftMarginLoss": (POSITIVE, "one class by margins"),
    "SqDiceLoss": (UNIT, "Dice whose optimum is at p = y (V-Net)"),
    "SqJaccardLoss": (UNIT, "Jaccard whose optimum is at p = y"),
    "StyleLoss": (POSITIVE, "texture by Gram matrices"),
    "SupConLoss": (POSITIVE, "embeddings with labels, several views per class"),
    "Surface2EdgeLoss": ("any, negative inside", "contours: surface distance and soft edges at once"),
    "TVLoss": (POSITIVE, "smooth predictions, as a regulariser"),
    "TripletLoss": (POSITIVE, "embeddings by anchors, positives and negatives"),
    "TverskyLoss": (UNIT, "overlap with separate prices for false alarms and misses"),
    "VarifocalLoss": (POSITIVE, "detectors whose score is the IoU, positives by quality"),
    "WGANLoss": ("any", "critics with a gradient penalty"),
    "WingLoss": (POSITIVE, "key points by coordinates; small errors matter"),
}

ANY, ONE = "-1 to 1", "up to 1"

METRICS: dict[str, str] = {
    **dict.fromkeys(
        "AUROC Accuracy AveragePrecision BalancedAccuracy BoundaryIoU BoxMIoU BrierScore CalibrationError "
        "ClassificationReport ConfusionMatrix ExactMatch F1 FBeta FMax GeneralizedDice HammingLoss IoU KeypointAP "
        "KolmogorovSmirnov MAPAtR MRR MeanAveragePrecision NDCG PCK PRCurve PanopticQuality Precision PrecisionAtK "
        "PrecisionAtRecall ROCCurve RPrecision Recall RecallAtK RecallAtPrecision Reliability "
        "SensitivityAtSpecificity Specificity SurfaceDice TopKAccuracy".split(),
        UNIT,
    ),
    **dict.fromkeys(
        "CER DepthErrors HausdorffDistance LogLoss MAE MAPE MSE MSLE NME RMSE SurfaceDistance WER".split(), POSITIVE
    ),
    **dict.fromkeys(
        "ConcordanceCorr CosineSimilarity KendallTau MatthewsCorrCoef PearsonCorr SSIM SpearmanCorr".split(), ANY
    ),
    **dict.fromkeys("CohenKappa ExplainedVariance R2".split(), ONE),
    "BrierScore": "0 to 1; classes: 0 to 2",
    "ClassStats": "1 and up",
    "PSNR": "any, in decibels",
    "Perplexity": "1 and up",
    "SMAPE": TWO,
    "Seen": "counts",
}
"""Values that a metric can have."""

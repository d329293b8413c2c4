"""Pictures of arrays: figures and ``(H, W, 3)`` bytes, for any writer, notebook or file."""

from typing import TYPE_CHECKING

from dltools._lazy import lazy

if TYPE_CHECKING:
    from dltools.visualizers.charts import curves as curves
    from dltools.visualizers.charts import lr_curve as lr_curve
    from dltools.visualizers.matrix import confusion_matrix as confusion_matrix
    from dltools.visualizers.scores import pr_curve as pr_curve
    from dltools.visualizers.scores import reliability as reliability
    from dltools.visualizers.scores import roc_curve as roc_curve
else:
    __getattr__, __dir__ = lazy(__name__)

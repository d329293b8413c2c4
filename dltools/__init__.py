"""Everything a PyTorch training script needs except the model."""

from typing import TYPE_CHECKING

from dltools._lazy import lazy

if TYPE_CHECKING:
    from dltools import cfgutils as cfgutils
    from dltools import errors as errors

__version__ = "0.1.0"
__getattr__, __dir__ = lazy(__name__)

"""Everything a PyTorch training script needs except the model."""

from typing import TYPE_CHECKING

from dltools._lazy import lazy

__version__ = "0.1.0"

if TYPE_CHECKING:
    from dltools import augs as augs
    from dltools import cfgutils as cfgutils
    from dltools import checkpoints as checkpoints
    from dltools import data as data
    from dltools import dist as dist
    from dltools import errors as errors
    from dltools import functional as functional
    from dltools import handlers as handlers
    from dltools import losses as losses
    from dltools import meters as meters
    from dltools import metrics as metrics
    from dltools import models as models
    from dltools import optim as optim
    from dltools import policies as policies
    from dltools import rng as rng
    from dltools import states as states
    from dltools import visualizers as visualizers
    from dltools import writers as writers
    from dltools._catalog import catalog as catalog
    from dltools._catalog import env as env
    from dltools._catalog import show as show
else:
    __getattr__, __dir__ = lazy(__name__)

"""Orders of the samples, addressed by (seed, epoch, position)."""

from typing import TYPE_CHECKING

from dltools._lazy import lazy

if TYPE_CHECKING:
    from dltools.data.samplers.base import IndexSampler as IndexSampler
    from dltools.data.samplers.base import SamplerCfg as SamplerCfg
    from dltools.data.samplers.sequential import SequentialSampler as SequentialSampler
    from dltools.data.samplers.sequential import SequentialSamplerCfg as SequentialSamplerCfg
    from dltools.data.samplers.shuffle import ShuffleSampler as ShuffleSampler
    from dltools.data.samplers.shuffle import ShuffleSamplerCfg as ShuffleSamplerCfg
else:
    __getattr__, __dir__ = lazy(__name__)

"""Loading: batches addressed by position, samplers, in-memory data."""

from typing import TYPE_CHECKING

from dltools._lazy import lazy

if TYPE_CHECKING:
    from dltools.data import samplers as samplers
    from dltools.data.batches import to_device as to_device
    from dltools.data.datasets import ArrayDataset as ArrayDataset
    from dltools.data.datasets import digits as digits
    from dltools.data.fetch import Source as Source
    from dltools.data.loader import Loader as Loader
    from dltools.data.loader import LoaderCfg as LoaderCfg
    from dltools.data.samplers.base import IndexSampler as IndexSampler
    from dltools.data.samplers.base import SamplerCfg as SamplerCfg
    from dltools.data.samplers.sequential import SequentialSampler as SequentialSampler
    from dltools.data.samplers.sequential import SequentialSamplerCfg as SequentialSamplerCfg
    from dltools.data.samplers.shuffle import ShuffleSampler as ShuffleSampler
    from dltools.data.samplers.shuffle import ShuffleSamplerCfg as ShuffleSamplerCfg
    from dltools.data.views import SubsetView as SubsetView
    from dltools.data.views import split as split
else:
    __getattr__, __dir__ = lazy(__name__)

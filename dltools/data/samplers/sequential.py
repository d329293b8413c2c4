"""In order."""

from __future__ import annotations

from dltools.data.samplers.base import Ids, IndexSampler, SamplerCfg


class SequentialSamplerCfg(SamplerCfg["SequentialSampler"]):
    """Samples in the order of their ids: evaluation."""


class SequentialSampler(IndexSampler[SequentialSamplerCfg]):
    """Position p is sample p; with ``num_samples``, epochs are successive windows of 0, 1, ..., n - 1, 0, 1, ...

    >>> sampler = SequentialSamplerCfg(num_samples=2).build(3)
    >>> [sampler.ids(seed=0, epoch=epoch, start=0, stop=2).tolist() for epoch in range(3)]
    [[0, 1], [2, 0], [1, 2]]
    """

    def ids(self, seed: int, epoch: int, start: int, stop: int) -> Ids:
        return self.chain(epoch, start, stop)[1]

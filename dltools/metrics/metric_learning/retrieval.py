"""Retrieval: whether the nearest neighbours of an embedding are of its kind."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor

from dltools.cfgutils.annotations import PositiveInt
from dltools.errors import ShapeError
from dltools.meters.report import Reading
from dltools.metrics.base import Metric, MetricCfg
from dltools.metrics.metric_learning.search import Neighbours, search
from dltools.states import State, States, Table

T_co = TypeVar("T_co", covariant=True)
CfgT = TypeVar("CfgT", bound="RetrievalMetricCfg[Any]")


class RetrievalMetricCfg(MetricCfg[T_co]):
    """Metrics with equal ``dim`` and ``distance`` share one table."""

    dim: PositiveInt
    """Size of an embedding."""
    distance: Literal["cosine", "l2"] = "cosine"
    """What is near."""


class RetrievalMetric(Metric[CfgT]):
    """Keeps embeddings (N, D) and labels (N,); each is a query among all others, left out where there is no match."""

    higher: ClassVar[bool | None] = True

    @abstractmethod
    def scores(self, found: Neighbours) -> Tensor:
        """One number per query, (N,)."""

    def depth(self) -> int:
        """How many neighbours are looked at; at least as many as a query has matches."""
        return 1

    def layout(self) -> Mapping[str, State]:
        """A row per sample."""
        return {"rows": Table({"x": (torch.float32, self.cfg.dim), "label": torch.int64, "counts": torch.bool})}

    def check(self, pred: Tensor, target: Tensor) -> None:
        if (
            pred.ndim != 2
            or pred.shape[1] != self.cfg.dim
            or target.shape != pred.shape[:1]
            or target.is_floating_point()
        ):
            raise ShapeError(
                f"pred {tuple(pred.shape)}, target {tuple(target.shape)} {target.dtype}, dim {self.cfg.dim}",
                expected="embeddings (N, dim) and integer labels (N,)",
            )

    def count(self, s: States, pred: Tensor, target: Tensor, *, valid: Tensor) -> None:
        s.append("rows", {"x": pred, "label": target, "counts": valid})

    def value(self, s: States) -> Reading:
        x, labels = self.rows(s)
        if num_invalid := int((~x.isfinite()).any(1).sum()):
            return Reading(np.nan, n=len(x), invalid=num_invalid)
        most = int(np.unique(labels.numpy(), return_counts=True)[1].max()) - 1 if len(labels) else 0
        depth = max(self.depth(), most, 1)
        found = s.once(f"nearest {depth}", lambda _: search(x, labels, depth, self.cfg.distance))
        scores = self.scores(found)[found.num_relevant > 0].double()
        pairs = np.stack([scores.numpy(), np.ones(len(scores))], 1)
        return Reading(float(scores.mean()) if len(scores) else np.nan, n=len(scores), resample=pairs)

    def rows(self, s: States) -> tuple[Tensor, Tensor]:
        """Embeddings and labels that count."""
        rows = s.once("rows", lambda s: s.table("rows"))
        return rows["x"].view(-1, self.cfg.dim)[rows["counts"]], rows["label"][rows["counts"]]

    def example(self, s: States) -> str:
        x = self.rows(s)[0]
        return str(float(x[~x.isfinite()][0]))

    def legal(self) -> str:
        return "Embeddings must be finite."


class RecallAtKCfg(RetrievalMetricCfg["RecallAtK"]):
    k: PositiveInt = 1


class RecallAtK(RetrievalMetric[RecallAtKCfg]):
    """Share of queries with a match among the k nearest.

    >>> recall = RecallAtK(dim=1, distance="l2", k=2)
    >>> recall.update(torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([0, 1, 0]))
    >>> recall.compute()
    Report(recall_at_k=1)
    """

    def depth(self) -> int:
        return self.cfg.k

    def scores(self, found: Neighbours) -> Tensor:
        return found.relevant[:, : self.cfg.k].any(1)


class PrecisionAtKCfg(RetrievalMetricCfg["PrecisionAtK"]):
    k: PositiveInt = 1


class PrecisionAtK(RetrievalMetric[PrecisionAtKCfg]):
    """Share of matches among the k nearest.

    >>> precision = PrecisionAtK(dim=1, distance="l2", k=2)
    >>> precision.update(torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([0, 1, 0]))
    >>> precision.compute()
    Report(precision_at_k=0.5)
    """

    def depth(self) -> int:
        return self.cfg.k

    def scores(self, found: Neighbours) -> Tensor:
        return found.relevant[:, : self.cfg.k].double().sum(1) / self.cfg.k


class RPrecisionCfg(RetrievalMetricCfg["RPrecision"]):
    pass


class RPrecision(RetrievalMetric[RPrecisionCfg]):
    """Share of matches among the R nearest, where R is how many matches there are.

    >>> precision = RPrecision(dim=1, distance="l2")
    >>> precision.update(torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([0, 1, 0]))
    >>> precision.compute()
    Report(r_precision=0)
    """

    def scores(self, found: Neighbours) -> Tensor:
        return among_first(found).double().sum(1) / found.num_relevant.clamp_min(1)


class MAPAtRCfg(RetrievalMetricCfg["MAPAtR"]):
    pass


class MAPAtR(RetrievalMetric[MAPAtRCfg]):
    r"""Mean over queries of :math:`1/R \sum_{i \le R} P(i)`, P(i) the precision at i where the i-th is a match, else 0.

    >>> map_at_r = MAPAtR(dim=1, distance="l2")
    >>> map_at_r.update(torch.tensor([[0.0], [1.0], [1.5], [5.0], [2.5]]), torch.tensor([0, 0, 1, 2, 0]))
    >>> map_at_r.compute()
    Report(map_at_r=0.333333)

    Musgrave et al. 2020, arXiv:2003.08505.
    """

    def scores(self, found: Neighbours) -> Tensor:
        hits = among_first(found).double()
        places = torch.arange(1, hits.shape[1] + 1)
        return (hits * hits.cumsum(1) / places).sum(1) / found.num_relevant.clamp_min(1)


class MRRCfg(RetrievalMetricCfg["MRR"]):
    pass


class MRR(RetrievalMetric[MRRCfg]):
    """Mean reciprocal rank of the nearest match.

    >>> mrr = MRR(dim=1, distance="l2")
    >>> mrr.update(torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([0, 1, 0]))
    >>> mrr.compute()
    Report(mrr=0.5)
    """

    def scores(self, found: Neighbours) -> Tensor:
        return 1 / found.first().clamp_min(1).double()


class NDCGCfg(RetrievalMetricCfg["NDCG"]):
    k: PositiveInt = 10


class NDCG(RetrievalMetric[NDCGCfg]):
    r"""Discounted gain of matches among the k nearest, :math:`\sum_i rel_i / \log_2(i + 1)`, over the best possible.

    >>> ndcg = NDCG(dim=1, distance="l2", k=2)
    >>> ndcg.update(torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([0, 1, 0]))
    >>> ndcg.compute()
    Report(ndcg=0.63093)
    """

    def depth(self) -> int:
        return self.cfg.k

    def scores(self, found: Neighbours) -> Tensor:
        hits = found.relevant[:, : self.cfg.k].double()
        gain = 1 / torch.arange(2, hits.shape[1] + 2, dtype=torch.float64).log2()
        ideal = torch.arange(hits.shape[1]) < found.num_relevant.unsqueeze(1)
        return (hits @ gain) / (ideal.double() @ gain).clamp_min(1e-300)


def among_first(found: Neighbours) -> Tensor:
    """Matches among the R nearest of each query, (N, largest R)."""
    return found.relevant & (torch.arange(found.relevant.shape[1]) < found.num_relevant.unsqueeze(1))

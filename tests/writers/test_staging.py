from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from dltools.errors import ConfigError, ShapeError
from dltools.writers.memory import MemoryWriter, MemoryWriterCfg
from dltools.writers.multi import MultiWriter
from dltools.writers.staging import RowReader, Staged, move, number
from tests.writers.helpers import journal, values

LOG: list[str] = []


class Away(Tensor):
    """Says that it is on another device, and counts what reads it from there."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> Away:
        away = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            held.shape,
            dtype=held.dtype,
            device="meta",
            strides=held.stride(),
            storage_offset=held.storage_offset(),
        )
        away.held = held
        return away

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        to_host = func is torch.ops.aten._to_copy.default and str(kwargs.get("device")) == "cpu"
        if to_host:
            LOG.append("move")
        elif func is torch.ops.aten._local_scalar_dense.default:
            LOG.append("read")
        out = func(*tree_map(lambda x: x.held if isinstance(x, Away) else x, args), **kwargs)
        return out if to_host else tree_map(lambda x: Away(x) if isinstance(x, Tensor) else x, out)


@pytest.fixture(autouse=True)
def empty_log() -> None:
    LOG.clear()


def test_values_on_a_device_are_never_read_by_the_caller_and_moved_once(tmp_path: Path) -> None:
    writer = MultiWriter(dir=str(tmp_path), writers={"m": MemoryWriterCfg(), "n": MemoryWriterCfg()}, flush_secs=1e6)
    for step in range(100):
        writer.scalars({f"k{k}": Away(torch.tensor(step + k / 16)) for k in range(10)}, step)
        assert LOG == []
    writer.flush()
    assert LOG == ["move"]
    expected = {f"k{k}": [(s, s + k / 16) for s in range(100)] for k in range(10)}
    assert journal(tmp_path) == expected
    for name in ("m", "n"):
        child = writer.writers[name]
        assert isinstance(child, MemoryWriter)
        assert [row["k3"] for row in values(child.records)] == [s + 3 / 16 for s in range(100)]
    writer.flush()
    assert LOG == ["move"]
    writer.close()


def test_a_value_is_what_it_was_at_the_call(tmp_path: Path) -> None:
    for a in (torch.tensor(0.0), Away(torch.tensor(0.0)), np.zeros(())):
        memory = MemoryWriter()
        for step in range(5):
            a += 1
            memory.scalars({"a": a}, step)
        memory.close()
        assert [row["a"] for row in values(memory.records)] == [1, 2, 3, 4, 5]


def test_every_dtype_arrives_exactly_and_in_its_place() -> None:
    given = {
        "big": Away(torch.tensor(2**53 + 1)),
        "half": Away(torch.tensor(0.1, dtype=torch.float16)),
        "brain": Away(torch.tensor(3.0, dtype=torch.bfloat16)),
        "double": Away(torch.tensor(0.1, dtype=torch.float64)),
        "flag": Away(torch.tensor(True)),
        "host": 0.25,
        "nan": Away(torch.tensor(float("nan"))),
    }
    memory = MemoryWriter()
    memory.scalars(given, 1)
    memory.close()
    (row,) = values(memory.records)
    assert list(row) == list(given)
    assert row["big"] == 2**53 + 1
    assert row["half"] == float(np.float16(0.1))
    assert (row["brain"], row["double"], row["flag"], row["host"]) == (3.0, 0.1, 1, 0.25)
    assert np.isnan(row["nan"])
    assert LOG == ["move"]


def test_a_staged_value_keeps_no_larger_storage() -> None:
    large = torch.zeros(1000, 1000)
    _, (staged,) = RowReader().read({"a": Away(large[0, 0])})
    held = staged.stack
    assert isinstance(held, Away)
    assert held.held.untyped_storage().nbytes() == 4


def test_move_without_anything() -> None:
    assert move([]) == []
    one = Staged(("a", "b"), torch.tensor([1.0, 2.0]), None)
    assert move([one, Staged(("c",), torch.tensor([7]), None)]) == [[1.0, 2.0], [7]]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (1, 1),
        (True, 1),
        (np.bool_(False), 0),
        (np.float32(0.5), 0.5),
        (np.int64(2**62), 2**62),
        (10**40, 10**40),
        (np.array(3), 3),
        (torch.tensor(2, dtype=torch.int32), 2),
        (torch.tensor(0.5, requires_grad=True), 0.5),
    ],
)
def test_numbers(given: object, expected: float) -> None:
    found = number("a", given)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize("bad", ["1", None, 1j, np.complex64(1), torch.tensor(1j), [1.0], object()])
def test_what_is_no_number_is_refused(bad: object) -> None:
    with pytest.raises(ConfigError, match="'a'"):
        RowReader().read({"a": bad})  # type: ignore[dict-item]


@pytest.mark.parametrize("bad", [torch.zeros(1), np.zeros(1), Away(torch.zeros(2))])
def test_more_than_one_number_is_refused(bad: object) -> None:
    with pytest.raises(ShapeError, match="'a'"):
        RowReader().read({"a": bad})  # type: ignore[dict-item]

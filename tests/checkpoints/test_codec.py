"""What goes in comes out to the last bit; all else is refused by its path."""

from __future__ import annotations

import math
import struct
import tempfile
from collections import Counter, OrderedDict, defaultdict, namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

from dltools.checkpoints.decode import Decoder
from dltools.errors import CheckpointError
from tests.checkpoints.boxes import Box, store_in, through_disk

DTYPES = [
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex64, torch.complex128, torch.bool),
    *(torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8, torch.uint16, torch.uint32, torch.uint64),
    *(torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz, torch.float8_e8m0fnu),
    *(torch.uint4, torch.bits8, torch.float4_e2m1fn_x2),
]


def same(a: Any, b: Any) -> bool:
    """Equal in type, order and every bit."""
    if type(a) is not type(b):
        return False
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and a.shape == b.shape and bits(a) == bits(b)
    if isinstance(a, np.ndarray | np.generic):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a.items(), b.items(), strict=True))
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return struct.pack(">d", a) == struct.pack(">d", b) if isinstance(a, float) else a == b


def bits(x: torch.Tensor) -> bytes:
    return x.detach().resolve_conj().resolve_neg().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (2, 3)], ids=str)
def test_tensors_of_every_dtype(dtype: torch.dtype, shape: tuple[int, ...], tmp_path: Path) -> None:
    raw = torch.arange(math.prod(shape) * dtype.itemsize, dtype=torch.uint8) % (2 if dtype == torch.bool else 251)
    x = raw.view(dtype).reshape(shape)
    assert same(through_disk(x, tmp_path), x)


EXACT: list[Any] = [
    *(None, True, False, 0, 1, -1, 2**63 - 1, 2**63, -(2**63) - 1, 10**5000),
    *(0.0, -0.0, 1.0, 0.1, 5e-324, 1.7976931348623157e308, math.nan, -math.nan, math.inf, -math.inf),
    struct.unpack(">d", bytes.fromhex("7ff0000000000001"))[0],
    *("", "é\0", "\ud800", '"$"', "\u2028"),
    *([], (), {}, [()], {"$": 1}, {"$": "tensor", "key": "x"}, {"a.b": 1, "a": {"b": 2}}, {1: "a", "1": "b", -2: ()}),
    *(OrderedDict([("b", 1), ("a", OrderedDict())]), Counter("abca"), Counter(), {"x": [1, (2.0, {"y": None})]}),
    *(np.float64(0.1), np.float32("nan"), np.int8(-3), np.bool_(True), np.complex64(1j), np.str_("é"), np.str_("")),
    *(np.bytes_(b"a\0b"), np.datetime64("2020-01-01"), np.timedelta64(3, "ms"), np.longdouble(1) / 3),
    *(np.zeros((0, 3)), np.array(3), np.arange(6).reshape(2, 3).T, np.arange(4, dtype=">f4"), np.array(["a", "bc"])),
    np.asfortranarray(np.eye(3, dtype=np.float16)),
]


@pytest.mark.parametrize("value", EXACT, ids=lambda value: type(value).__name__)
def test_exact_values(value: Any, tmp_path: Path) -> None:
    assert same(through_disk(value, tmp_path), value)


def test_tensors_that_lie_in_odd_ways(tmp_path: Path) -> None:
    base = torch.randn(4, 6, dtype=torch.complex64)
    for x in [base.T, base[::2, 1::3], base.conj(), base.conj().imag, base[:, :1].expand(4, 3), base.real]:
        assert same(through_disk(x, tmp_path), x)
    trained = nn.Parameter(torch.ones(2)) * 3
    assert through_disk(trained, tmp_path).requires_grad is False


def test_a_tied_tensor_is_stored_once_and_stays_tied(tmp_path: Path) -> None:
    x = torch.randn(100)
    wide = torch.zeros(2, dtype=torch.complex128)
    loaded = through_disk({"a": x, "b": [x, x[:50]], "c": wide, "d": wide}, tmp_path)
    assert loaded["a"] is loaded["b"][0]
    assert loaded["c"] is loaded["d"]
    assert torch.equal(loaded["b"][1], x[:50])
    (path,) = (ref.path for ref in store_in(tmp_path).refs())
    with safe_open(path / "state.safetensors", "pt") as file:
        assert sorted(file.keys()) == ["box.value.a", "box.value.b.1", "box.value.c"]


def test_tensors_lie_in_memory_as_before(tmp_path: Path) -> None:
    maps = torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    wide = torch.randn(4, 6, dtype=torch.complex128)
    loaded = through_disk({"maps": maps, "again": maps, "wide": wide, "turned": wide.T}, tmp_path)
    assert loaded["maps"].stride() == maps.stride() == (60, 1, 15, 3)
    assert loaded["turned"].stride() == (1, 6)
    assert torch.equal(loaded["maps"], maps)
    assert torch.equal(loaded["turned"], wide.T)
    assert loaded["maps"] is loaded["again"]


@pytest.mark.parametrize("order", [[0], [0, 0], [0, 2], [1, 0, 2], [True, False], "10", 1, [[0, 1]]])
def test_an_order_that_is_none_is_refused(order: Any) -> None:
    node = {"$": "tensor", "key": "x", "order": order}
    with pytest.raises(CheckpointError, match=r"part in a.json: has the order"):
        Decoder({}, {"x": torch.zeros(2, 2)}, "a.json").part("part", node)


def test_arrays_are_writable(tmp_path: Path) -> None:
    loaded = through_disk(np.zeros(3), tmp_path)
    loaded += 1
    assert loaded.tolist() == [1, 1, 1]


def test_other_tools_read_the_weights(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    net[0].half()
    path = store_in(tmp_path).save({"model": net}, step=1).path
    found = load_file(path / "weights.safetensors")
    assert same(dict(sorted(found.items())), dict(sorted(net.state_dict().items())))
    net.load_state_dict(found)


leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=8)
    | hnp.arrays(
        st.sampled_from(["<f8", ">i4", "?", "<c16", "<U3"]), hnp.array_shapes(min_dims=0, min_side=0, max_side=3)
    )
    | hnp.arrays(st.sampled_from(["<f4", "<i8", "u1", "<c8"]), hnp.array_shapes(max_side=3)).map(torch.from_numpy)
)
keys = st.text(max_size=4) | st.integers()
trees = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(keys, inner, max_size=4)
        | st.dictionaries(keys, inner, max_size=4).map(OrderedDict)
    ),
    max_leaves=12,
)


@given(trees)
@settings(max_examples=60)
def test_any_tree(value: Any) -> None:
    with tempfile.TemporaryDirectory() as root:
        assert same(through_disk(value, Path(root)), value)


Point = namedtuple("Point", "x y")
LOOP: list[Any] = []
LOOP.append(LOOP)
DEEP: list[Any] = []
for _ in range(100):
    DEEP = [DEEP]
REFUSED: list[tuple[Any, str]] = [
    ({"state": {"lr_fn": len}}, r"box\.value\.state\.lr_fn: builtin_function_or_method"),
    ([0, {1, 2}], r"box\.value\.1: set"),
    (b"x", r"box\.value: bytes"),
    (1j, r"box\.value: complex"),
    (Point(1, 2), r"box\.value: Point"),
    (defaultdict(int), r"box\.value: defaultdict"),
    (torch.float32, r"box\.value: dtype"),
    ({(1, 2): 3}, r"box\.value: key \(1, 2\) is a tuple"),
    ({True: 3}, r"box\.value: key True is a bool"),
    (np.array([object()]), r"box\.value: ndarray of object"),
    (np.zeros(2, dtype=[("a", "f4")]), r"box\.value: ndarray of"),
    (torch.zeros(2, device="meta"), r"box\.value: tensor that is meta"),
    (torch.eye(2).to_sparse(), r"box\.value: tensor that is torch\.sparse_coo"),
    (LOOP, r"deeper than 100, or holds itself"),
    (DEEP, r"deeper than 100, or holds itself"),
]


@pytest.mark.parametrize(("value", "message"), REFUSED, ids=[message[-30:] for _, message in REFUSED])
def test_what_is_refused_is_named_by_its_path(value: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=message):
        store_in(tmp_path).save({"box": Box(value)}, step=0)
    assert list(tmp_path.iterdir()) == []

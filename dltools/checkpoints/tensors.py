"""Files of tensors in the safetensors format, written from where they lie and read with every claim checked.

The format's own library neither writes through our file calls nor refuses a header that names a tensor twice.
Format: https://github.com/huggingface/safetensors
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from dltools.checkpoints import files
from dltools.checkpoints.disk import (
    MAX_JSON,
    Checksum,
    checksum,
    existing_file,
    new_file,
    parse_json,
    to_json,
    write_all,
)
from dltools.checkpoints.manifest import FileSums
from dltools.errors import CheckpointError

DTYPES: dict[str, torch.dtype] = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E4M3FNUZ": torch.float8_e4m3fnuz,
    "F8_E5M2": torch.float8_e5m2,
    "F8_E5M2FNUZ": torch.float8_e5m2fnuz,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U64": torch.uint64,
    "U32": torch.uint32,
    "U16": torch.uint16,
    "U8": torch.uint8,
    "C64": torch.complex64,
    "BOOL": torch.bool,
}
TAGS = {dtype: tag for tag, dtype in DTYPES.items()}
MAX_DIMS = 64


class Entry(NamedTuple):
    """What a header says of a tensor."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    start: int
    stop: int


def raw_bytes(x: Tensor) -> Tensor:
    """The values as one row of bytes on the CPU; a view where they lie so already."""
    return x.detach().cpu().resolve_conj().resolve_neg().contiguous().reshape(-1).view(torch.uint8)


def write_tensors(path: Path, tensors: Mapping[str, Tensor], kind: Checksum) -> FileSums:
    """Write a new file, one tensor after the other; what to check it by."""
    order = sorted(tensors, key=lambda name: -tensors[name].itemsize)  # large items first keeps all aligned
    header: dict[str, Any] = {}
    stop = 0
    for name in order:
        x = tensors[name]
        start, stop = stop, stop + x.numel() * x.itemsize
        header[name] = {"dtype": TAGS[x.dtype], "shape": list(x.shape), "data_offsets": [start, stop]}
    text = to_json(header)
    text += b" " * (-len(text) % 8)
    prefix = len(text).to_bytes(8, "little") + text
    sums: dict[str, str] = {}
    with new_file(path) as fd:
        write_all(fd, prefix)
        for name in order:
            data = raw_bytes(tensors[name]).numpy().data
            sums[name] = checksum(kind, data)
            write_all(fd, data)
    return FileSums(len(prefix) + stop, checksum(kind, prefix), sums)


def read_tensors(path: Path, sums: FileSums, kind: Checksum) -> dict[str, Tensor]:
    """All tensors of a file; a CheckpointError names the file and the tensor that is not as it was written."""
    with existing_file(path) as fd:
        size = files.size(fd)
        prefix = _read_prefix(fd, size, path)
        entries = _parse_header(prefix, path)
        if checksum(kind, prefix) != sums.checksum:
            raise CheckpointError(f"{path} is damaged: its header has another checksum")
        if set(entries) != set(sums.tensors):
            differ = sorted(set(entries) ^ set(sums.tensors))
            raise CheckpointError(f"{path} and its manifest disagree about tensor {differ[0]!r}")
        _check_layout(entries, size - len(prefix), path)
        return {name: _read_tensor(fd, name, entry, sums.tensors[name], kind, path) for name, entry in entries.items()}


def _read_prefix(fd: int, size: int, path: Path) -> bytes:
    """Length and header, as they stand at the start of the file."""
    start = bytearray(8)
    length = int.from_bytes(start, "little") if files.read(fd, memoryview(start)) == 8 else -1
    if not 2 <= length <= min(MAX_JSON, size - 8):
        raise CheckpointError(f"{path} is damaged: {size} bytes hold no header of {length}")
    if size > physical_memory():
        raise CheckpointError(f"{path} has {size} bytes, more than the memory of this machine")
    header = bytearray(length)
    files.read(fd, memoryview(header))
    return bytes(start + header)


def _parse_header(prefix: bytes, path: Path) -> dict[str, Entry]:
    """Entries in the order of their data."""
    header = parse_json(prefix[8:], f"the header of {path}")
    if not isinstance(header, dict):
        raise CheckpointError(f"the header of {path} is no table of tensors")
    found = {name: _entry(name, said, path) for name, said in header.items() if name != "__metadata__"}
    return dict(sorted(found.items(), key=lambda item: item[1].start))


def _entry(name: str, said: Any, path: Path) -> Entry:
    where = f"tensor {name[:200]!r} of {path}"
    if not isinstance(said, dict) or set(said) != {"dtype", "shape", "data_offsets"}:
        raise CheckpointError(f"{where} is not told by dtype, shape and data_offsets")
    dtype = DTYPES.get(said["dtype"]) if isinstance(said["dtype"], str) else None
    if dtype is None:
        raise CheckpointError(f"{where} has dtype {str(said['dtype'])[:100]!r}", expected=", ".join(DTYPES))
    shape, offsets = said["shape"], said["data_offsets"]
    if not legal_shape(shape):
        raise CheckpointError(f"{where} has shape {str(shape)[:200]}", expected="sizes >= 0 that memory can hold")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(type(x) is int and x >= 0 for x in offsets):
        raise CheckpointError(f"{where} has data_offsets {str(offsets)[:200]}", expected="a start and a stop")
    if offsets[1] - offsets[0] != math.prod(shape) * dtype.itemsize:
        raise CheckpointError(f"{where} has {offsets[1] - offsets[0]} bytes", expected=f"those of shape {shape}")
    return Entry(dtype, tuple(shape), offsets[0], offsets[1])


def legal_shape(shape: Any) -> bool:
    """Whether a list from a file is the shape of a tensor that can be made."""
    if not isinstance(shape, list) or len(shape) > MAX_DIMS or not all(type(n) is int and n >= 0 for n in shape):
        return False
    return max(shape, default=0) < 2**63 and math.prod(max(n, 1) for n in shape) < 2**59


def _check_layout(entries: Mapping[str, Entry], size: int, path: Path) -> None:
    """The tensors lie end to end and fill the file."""
    end = 0
    for name, entry in entries.items():
        if entry.start != end:
            raise CheckpointError(f"tensor {name!r} of {path} starts at {entry.start}", expected=f"{end}, end to end")
        end = entry.stop
        if end > size:
            raise CheckpointError(f"{path} is cut: it ends inside tensor {name!r}")
    if end != size:
        raise CheckpointError(f"{path} has {size - end} bytes that belong to no tensor")


def _read_tensor(fd: int, name: str, entry: Entry, expected: str, kind: Checksum, path: Path) -> Tensor:
    data = torch.empty(entry.stop - entry.start, dtype=torch.uint8)
    view = data.numpy().data
    if files.read(fd, view) < len(view) or checksum(kind, view) != expected:
        raise CheckpointError(f"tensor {name!r} of {path} is damaged: it has another checksum")
    return as_dtype(data, entry.dtype, entry.shape, f"tensor {name!r} of {path}")


def as_dtype(data: Tensor, dtype: torch.dtype, shape: tuple[int, ...], where: str) -> Tensor:
    """Bytes as values; a bool that is neither 0 nor 1 is refused."""
    if len(data) != math.prod(shape) * dtype.itemsize:
        raise CheckpointError(f"{where} has {len(data)} bytes", expected=f"those of {dtype} {list(shape)}")
    if dtype == torch.bool and bool((data > 1).any()):
        raise CheckpointError(f"{where} is of bools, but holds other bytes than 0 and 1")
    return data.view(dtype).reshape(shape)


def physical_memory() -> int:
    """Bytes of memory of this machine."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")

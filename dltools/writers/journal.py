"""The journal's format, version 1: a strict JSON object per line, one line per call.

    {"step":3,"time":1732112345.123456,"train/loss":0.5,"n":64}
    {"step":1,"_axis":"epoch","time":1732112349.0,"val/iou":null,"_nonfinite":{"val/iou":"nan"}}

``_axis`` is absent for "step", ``_rank`` for 0, ``_kind`` for scalars; other kinds have their record's fields. A value
that JSON does not know is null, and named in ``_nonfinite``.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic_core import from_json, to_json

from dltools.errors import DltoolsError
from dltools.writers.records import KINDS, Params, Record, Scalars, to_float

NONFINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_NAMES = {kind: name for name, kind in KINDS.items()}
_HEAD = {field.name for field in fields(Record)}


def encode(record: Record, rank: int = 0) -> bytes:
    """The record's line."""
    row: dict[str, Any] = {"step": record.step}
    if record.axis != "step":
        row["_axis"] = record.axis
    if rank:
        row["_rank"] = rank
    row["time"] = record.time
    if isinstance(record, Scalars):
        numbers: Mapping[str, Any] = record.values
        row.update(numbers)
    else:
        row["_kind"] = _NAMES[type(record)]
        row |= {f.name: getattr(record, f.name) for f in fields(record) if f.name not in _HEAD and f.name != "pixels"}
        numbers = record.params if isinstance(record, Params) else row
    if wrong := _nonfinite(numbers):
        row["_nonfinite"] = wrong
    return to_json(row, inf_nan_mode="null") + b"\n"


def _nonfinite(numbers: Mapping[str, Any]) -> dict[str, str]:
    try:
        if math.isfinite(sum(numbers.values())):  # one test for the whole row; a sum that overflows is looked at below
            return {}
    except (OverflowError, TypeError):
        pass
    floats = {name: value for name, value in numbers.items() if isinstance(value, float)}
    return {name: str(value) for name, value in floats.items() if not math.isfinite(value)}


def decode(line: bytes) -> Record | None:
    """The record of a line; None if its kind is unknown to this version; a ValueError if it is no line of a journal."""
    try:
        return _decode(from_json(line, allow_inf_nan=False))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no record: {error}") from None


def _decode(row: Any) -> Record | None:
    if not isinstance(row, dict) or type(row.get("step")) is not int or type(row.get("time")) not in (int, float):
        raise ValueError("no JSON object with step and time")
    head = (row.pop("step"), str(row.pop("_axis", "step")), float(row.pop("time")))
    kind = row.pop("_kind", "scalars")
    wrong = {str(name): NONFINITE[value] for name, value in row.pop("_nonfinite", {}).items()}
    if kind == "scalars":
        values = {name: value for name, value in row.items() if not name.startswith("_")} | wrong
        if any(type(value) not in (int, float) for value in values.values()):
            raise ValueError("a value is no number")
        return Scalars(*head, values)
    if kind not in KINDS:
        return None
    if kind == "params":
        row["params"] = {**row["params"], **wrong}
    else:
        row |= wrong
    known = {f.name for f in fields(KINDS[kind])} - _HEAD
    given = {name: tuple(v) if isinstance(v, list) else v for name, v in row.items() if name in known}
    made: type[Any] = KINDS[kind]
    record: Record = made(*head, **given)
    return record


def read_lines(path: Path, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, int, bytes]]:
    """Whole lines from a byte offset on, with where each begins and ends; an unfinished last one is left out."""
    with path.open("rb") as file:
        file.seek(start)
        for line in file:
            end = start + len(line)
            if not line.endswith(b"\n") or (stop is not None and end > stop):
                return
            yield start, end, line
            start = end


def read_journal(path: str | os.PathLike[str]) -> list[Record]:
    """All records of a journal, or of a run's folder (then of every rank), in the order of the file.

    An unfinished last line, which a killed process may leave, is skipped. A bad line is a DltoolsError with file and
    line.
    """
    place = Path(path)
    files = journals(place) if place.is_dir() else [place]
    if not files or not all(file.is_file() for file in files):
        raise DltoolsError(f"{place} holds no journal", expected="a run's folder with metrics.jsonl, or such a file")
    records = []
    for file in files:
        for number, (_, _, line) in enumerate(read_lines(file), 1):
            try:
                record = decode(line)
            except ValueError as error:
                raise DltoolsError(f"{file}:{number}: {error}", expected="a line of a journal") from None
            if record is not None:
                records.append(record)
    return records


def journals(folder: Path) -> list[Path]:
    """The journals of a run's folder: the one, or each rank's."""
    ranks = {int(m[1]): f for f in folder.iterdir() if (m := re.fullmatch(r"metrics\.rank(\d+)\.jsonl", f.name))}
    whole = folder / "metrics.jsonl"
    return [*([whole] if whole.is_file() else []), *(ranks[rank] for rank in sorted(ranks))]


def series(records: Iterable[Record], axis: str = "step") -> dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Steps and values of every metric on an axis, by step; of equal steps the last one counts.

    >>> steps, losses = series([Scalars(1, "step", 0.0, {"loss": 0.5}), Scalars(0, "step", 0.0, {"loss": 2.0})])["loss"]
    >>> losses
    array([2. , 0.5])
    """
    found: dict[str, dict[int, float]] = {}
    for record in records:
        if isinstance(record, Scalars) and record.axis == axis:
            for name, value in record.values.items():
                found.setdefault(name, {})[record.step] = value
    lines = {}
    for name, points in found.items():
        steps = np.array(sorted(points), np.int64)
        lines[name] = steps, np.array([to_float(points[step]) for step in steps.tolist()], np.float64)
    return lines

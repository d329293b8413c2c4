"""A run's folder: its config, claimed at the start; its report and pictures, left at the end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from dltools.cfgutils.files import dump, load
from dltools.cfgutils.values import to_tree
from dltools.checkpoints.store import StoreCfg
from dltools.errors import ConfigError
from dltools.meters.report import Report
from dltools.policies.base import PolicyCfg, differences
from dltools.visualizers.charts import draw_curves, new_figure
from dltools.writers.base import Writer
from dltools.writers.disk import publish
from dltools.writers.journal import read_journal, series
from dltools.writers.multi import MultiWriterCfg
from dltools.writers.png import encode_image, render
from dltools.yamltext import json_text

P = TypeVar("P", bound=PolicyCfg[Any])
Picture = NDArray[np.uint8]

CONFIG, JOURNAL, REPORT = "config.yaml", "metrics.jsonl", "report.json"
"""What the run was told, what it logged, how it ended."""
FREE = (
    "out device writer store.keep_last store.keep_best store.min_free_gb run.save_steps run.save_secs run.resume "
    "run.on_error loader.workers loader.pool loader.prefetch loader.pin"
).split()
"""What may change when a run goes on: it alters no number of the training."""


def begin(cfg: P) -> P:
    """Claim the run's folder with a ``config.yaml``, and give the parts their places in it and their seeds.

    A folder that holds the run of another config is a ConfigError naming the fields and what they were; so is a part
    that names a folder of its own.
    """
    for path, given, usual in (
        ("store.root", cfg.store.root, StoreCfg().root),
        ("writer.dir", cfg.writer.dir, MultiWriterCfg().dir),
    ):
        if given != usual:
            raise ConfigError(f"{path} is {str(given)!r}", expected="no folder beside out", hint="set out")
    file = cfg.out / CONFIG
    if file.exists():
        there = to_tree(load(type(cfg), file))
        changes = {path: old for path, (old, _) in differences(there, to_tree(cfg)).items() if not _is_free(path)}
        if changes:
            was = ", ".join(f"{path} was {old}" for path, old in sorted(changes.items()))
            raise ConfigError(f"{cfg.out} holds another run: {was}", hint=_way_out(cfg, changes))
    cfg.out.mkdir(parents=True, exist_ok=True)
    publish(file, dump(cfg).encode())
    return cfg.replace(
        loader=cfg.loader if cfg.loader.seed is not None else cfg.loader.replace(seed=cfg.seed),
        run=cfg.run if cfg.run.seed is not None else cfg.run.replace(seed=cfg.seed),
        store=cfg.store.replace(root=cfg.out / cfg.store.root),
        writer=cfg.writer.replace(dir=str(cfg.out)),
    )


def is_finished(out: Path) -> bool:
    """Whether the run in a folder has come to its end."""
    return (out / REPORT).exists()


def finish(cfg: PolicyCfg[Any], writer: Writer[Any], report: Report, pictures: Mapping[str, Picture]) -> None:
    """Log the pictures, draw the curves of the whole journal, and leave all of it as files, the report last.

    A run that had come to its end before stays as it is.
    """
    if is_finished(cfg.out):
        return
    for name, pixels in pictures.items():
        writer.image(name, pixels, cfg.run.total_steps)
    writer.flush()
    found = {**pictures, **({"curves": run_curves(cfg.out, pictures)} if (cfg.out / JOURNAL).exists() else {})}
    for name, pixels in found.items():
        publish(cfg.out / f"{name}.png", encode_image(pixels, "png"))
    publish(cfg.out / REPORT, json_text(dict(report)).encode())


def run_curves(out: Path, pictured: Iterable[str] = ()) -> Picture:
    """The losses and the other validation numbers of a run's journal over its steps, one chart above the other.

    ``pictured``: metrics that have a picture of their own.
    """
    lines = series(read_journal(out / JOURNAL))
    losses = {name: line for name, line in lines.items() if name.endswith("/loss")}
    others = {"val/loss", "val/bad_targets", *(f"val/{name}" for name in pictured)}
    scores = {name: line for name, line in lines.items() if name.startswith("val/") and name not in others}
    figure = new_figure(7.0, 6.0)
    upper, lower = figure.subplots(2, 1, sharex=True)
    draw_curves(upper, losses, title="loss", logy=True)
    draw_curves(lower, scores, title="validation")
    lower.set_xlabel("step")
    return render(figure)


def _way_out(cfg: PolicyCfg[Any], changes: Mapping[str, Any]) -> str:
    if (steps := changes.get("run.total_steps")) is not None:
        return f"schedules follow total_steps, so a run keeps it: run.total_steps={steps}, or a new out={cfg.out}-2"
    return "give the old values, or a new out="


def _is_free(path: str) -> bool:
    return any(path == free or path.startswith(f"{free}.") for free in FREE)

"""The command line: ``dltools run | list | show | env | doctor``; ``python -m dltools`` is the same."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

import dltools
from dltools._catalog import KINDS, absent_extras, catalog, env, show
from dltools.errors import DltoolsError

app: typer.Typer = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=dltools.__doc__
)
Words = Annotated[
    list[str] | None, typer.Argument(metavar="[file.yaml] [path=value ...]", help="Config on top of the preset.")
]


@app.command()
def run(name: Annotated[str, typer.Argument(help="A policy or one of its presets.")], words: Words = None) -> None:
    """Train by a policy; the same command goes on where an interrupted run stopped."""
    from dltools.policies.presets import configure

    cfg = configure(name, words or [])
    try:
        report = cfg.build().run()
    except (KeyboardInterrupt, SystemExit):
        typer.echo(f"stopped: the same command goes on from what {cfg.out} holds", err=True)
        raise
    typer.echo(f"{cfg.out}: " + ", ".join(f"{key} {value:.4f}" for key, value in report.items()))


@app.command("list")
def list_(kind: str = typer.Argument("*"), pattern: str = typer.Argument("*")) -> None:
    """Components by area and name: ``dltools list losses '*dice*'``."""
    for entry in catalog(kind, pattern):
        typer.echo(f"{entry.kind:12} {entry.tag:24} {entry.summary}")


@app.command("show")
def show_(name: str) -> None:
    """One component: formula, fields, defaults."""
    typer.echo(show(name))


@app.command("env")
def env_() -> None:
    """Versions and hardware, for an issue report."""
    for key, value in env().items():
        typer.echo(f"{key:24} {value}")


@app.command()
def doctor() -> None:
    """Look whether everything that is installed works; what is missing comes with its pip line."""
    problems = 0
    for check, trouble in _checks():
        problems += bool(trouble)
        typer.echo(f"{'FAILED' if trouble else 'ok':8} {check}{f': {trouble}' if trouble else ''}")
    for name, line in absent_extras().items():
        typer.echo(f"{'absent':8} extra {name}: {line}")
    raise typer.Exit(1 if problems else 0)


def _checks() -> Iterator[tuple[str, str]]:
    """What is checked, and what is wrong with it."""
    for area in (*KINDS, "cfgutils", "visualizers"):
        try:
            importlib.import_module(f"dltools.{area}")
            yield f"import dltools.{area}", ""
        except Exception as error:  # noqa: BLE001  # whatever it is, it is what doctor is for
            yield f"import dltools.{area}", repr(error)
    yield "a training step on the CPU", _try_a_step()
    yield "the current folder is writable", "" if _writable(Path.cwd()) else "no file can be made here"


def _try_a_step() -> str:
    import torch

    from dltools.handlers.step import StepHandlerCfg
    from dltools.losses.probabilistic.cross_entropy import CELossCfg
    from dltools.optim.torch_optim import AdamWCfg

    model = torch.nn.Linear(4, 3)
    before = model.weight.detach().clone()
    optimizer = AdamWCfg().build(model)
    step = StepHandlerCfg().build(model, optimizer)
    step(CELossCfg().build()(model(torch.ones(2, 4)), torch.tensor([0, 2])))
    changed = bool((model.weight != before).any()) and bool(model.weight.isfinite().all())
    return "" if changed else "a step of AdamW left the weights as they were"


def _writable(folder: Path) -> bool:
    probe = folder / ".dltools-probe"
    try:
        probe.touch()
        probe.unlink()
    except OSError:
        return False
    return True


def main() -> None:
    """The entry point: a mistake of the user ends in one message and status 2, not in a traceback."""
    try:
        app()
    except DltoolsError as error:
        typer.echo("\n".join([str(error), *getattr(error, "__notes__", ())]), err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()

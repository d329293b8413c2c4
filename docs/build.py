"""Write the reference pages from the package itself: ``python docs/build.py``; ``--check`` says what is out of date."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from facts import LOSSES, METRICS
from pictures import LOSS_PICTURES

import dltools
from dltools._catalog import Entry, _doc, catalog

HERE = Path(__file__).parent
SOURCE = re.compile(r"^(Source: )?(?P<text>.*(arXiv:|\b(1[89]|20)\d\d\b|https?://|doi:).*)$", re.DOTALL)


def paragraphs(entry: Entry) -> list[str]:
    """The docstring of a component, without examples."""
    return [part for part in _doc(entry.config).split("\n\n") if not part.lstrip().startswith(">>>")]


def markdown(text: str) -> str:
    """reStructuredText as these docstrings use it."""
    text = re.sub(r":math:`([^`]*)`", lambda found: f"${found[1].strip()}$", text)
    text = re.sub(r"\n\.\. math:: *(.*)", lambda found: f"\n$${found[1].strip()}$$", text)
    return re.sub(r":\w+:`~?([^`]*)`", r"`\1`", text).replace("``", "`")


def source(entry: Entry) -> str:
    """The paper or book that the docstring ends with, without sentences before it."""
    sentences = re.split(r"(?<=\.)\s+(?=[A-Z])", paragraphs(entry)[-1])
    while len(sentences) > 1 and not SOURCE.match(sentences[0]):
        del sentences[0]
    found = SOURCE.match(" ".join(sentences))
    return " ".join(found["text"].split()) if found and len(paragraphs(entry)) > 1 else ""


def aliases(area: Any, entry: Entry) -> list[str]:
    """Other exported names of the product."""
    product = getattr(area, entry.tag, None)
    return [
        name for name in area.__all__ if name != entry.tag and product is not None and getattr(area, name) is product
    ]


def options(entry: Entry) -> str:
    """The fields that a config has beside those of its family, with their defaults."""
    own = vars(entry.config).get("__annotations__", {})
    made = []
    for name, field in inspect.signature(entry.config).parameters.items():
        if name in own:
            default = "" if field.default is inspect.Parameter.empty else f"={field.default!r}"
            made.append(f"`{name}{default}`")
    return ", ".join(made)


def groups(area: str, title: Callable[[str], str]) -> Iterator[tuple[str, list[Entry]]]:
    """Components of an area by their package."""
    found: dict[str, list[Entry]] = {}
    for entry in catalog(area):
        parts = entry.config.__module__.split(".")[2:-1]
        found.setdefault(title(parts[0] if parts else ""), []).append(entry)
    yield from sorted(found.items())


def section(area: Any, entry: Entry, facts: dict[str, str]) -> str:
    """One component."""
    first, *_ = paragraphs(entry)
    also = aliases(area, entry)
    lines = [f"### {entry.tag}", "", markdown(first), ""]
    rows = {
        "also": ", ".join(f"`{name}`" for name in also),
        **facts,
        "options": options(entry),
        "source": source(entry),
    }
    lines += [f"- {name}: {text}" for name, text in rows.items() if text]
    return "\n".join(lines)


def losses_page() -> str:
    """docs/losses.md."""
    import dltools.losses as area

    text = ["# Losses", "", LOSSES_INTRO, ""]
    for title, entries in groups("losses", lambda part: part.replace("_", " ") or "base"):
        known = [entry for entry in entries if entry.tag in LOSSES]
        if not known:
            continue
        text += [f"## {title}", ""]
        text += [
            f"![{alt}](pictures/{file}.svg)\n" for file, (group, alt, _) in LOSS_PICTURES.items() if group == title
        ]
        for entry in known:
            span, use = LOSSES[entry.tag]
            text += [section(area, entry, {"range": span, "for": use}), ""]
    return "\n".join(text).rstrip() + "\n"


def metrics_page() -> str:
    """docs/metrics.md."""
    import dltools.metrics as area

    text = ["# Metrics", "", METRICS_INTRO, ""]
    for title, entries in groups("metrics", lambda part: part.replace("_", " ") or "data sets"):
        known = [entry for entry in entries if entry.tag in METRICS]
        text += [f"## {title}", ""] * bool(known)
        for entry in known:
            direction = DIRECTIONS[getattr(area, entry.tag).higher]
            text += [section(area, entry, {"range": METRICS[entry.tag], "better": direction}), ""]
    return "\n".join(text).rstrip() + "\n"


def optim_page() -> str:
    """docs/optim.md: a table for each kind of thing."""
    text = ["# Optimizers, schedules, steps", "", OPTIM_INTRO, ""]
    for package, (title, intro) in OPTIM_SECTIONS.items():
        text += [f"## {title}", "", intro, "", "| name | what it is | options | source |", "|---|---|---|---|"]
        for entry in catalog(package.split(".")[0]):
            if entry.config.__module__.rpartition(".")[0] == f"dltools.{package}":
                cells = (f"`{entry.tag}`", summary(entry), options(entry), source(entry))
                text.append(f"| {' | '.join(cells)} |")
        text.append("")
    return "\n".join(text).rstrip() + "\n"


def summary(entry: Entry) -> str:
    """The first sentence of a component, fit for the cell of a table."""
    first = re.split(r"(?<=\.) (?=[A-Z])", " ".join(paragraphs(entry)[0].split()))[0]
    formula = re.compile(r"\$[^$]*\$")
    whole = markdown(first)
    in_math = formula.sub(lambda found: found[0].replace("\\|", "\\Vert ").replace("|", "\\vert "), whole)
    return in_math.replace("|", "\\|")


DIRECTIONS = {True: "higher", False: "lower", None: ""}
METRICS_INTRO = """All metrics of dltools, from their own docstrings; `python docs/build.py` writes this page.
`dltools show NAME` prints one in full. What is merged over ranks, and why the numbers of a run may differ from those of
one process, stands in [why your DDP numbers were wrong](ddp-numbers.md); how they compare with other libraries in
[benchmarks](benchmarks.md).

A metric is filled by `metric.update(pred, target)`, several at once by `Metrics`; `compute()`, or `collect` for a whole
tree of them, gives a `Report`: `report["val/iou"]`, `report.per_class("val/iou")`, `report.data("val/confusion")` and
`report.ci("val/acc")`, a confidence interval. Those of classes have `task`, `num_classes`, `holds` (what the prediction
is) and `ignore_index`; with `per_image=True` those of a confusion matrix have intervals over images."""

LOSSES_INTRO = """All losses of dltools, from their own docstrings; `python docs/build.py` writes this page.
`dltools show NAME` prints one in full, with every field; how they compare with other libraries stands in
[benchmarks](benchmarks.md).

A loss is called as `loss(pred, target)`, with `mask` for what counts and `weight_map` for how much, in the shape of the
target. All have `reduction` (mean over what counts, sum, none), `sync` (whether the value is that of the batch of all
ranks) and `check` (look at the values too: labels out of range, probabilities that are said to be logits). Losses of
classes also have `task`, `holds` (what the prediction is), `ignore_index` and `class_weights`; those of overlap
`classes`, `over` and `empty`. `Combine` adds several up; `loss.step()` after each update moves the schedules of its
weights, which else stay at their start. Losses with parameters, such as `ArcFaceLoss`, go to the optimizer and into
checkpoints like any module."""

OPTIM_INTRO = """Optimizers, schedules and the parts of a step, from their own docstrings; `python docs/build.py` writes
this page. `dltools show NAME` prints one in full, with every field. What a step does, and in which order, stands in
[a step is made of slots](decisions/0006-a-step-is-made-of-slots.md); how it compares with other libraries in
[benchmarks](benchmarks.md)."""
OPTIM_SECTIONS = {
    "optim": (
        "Optimizers",
        """All have `lr`, `groups` (rules for parameters by name, type or role) and `impl`; Adam and its kin
also `betas`, `eps` and `weight_decay`. What is built is torch's own class, with its own arguments and defaults.""",
    ),
    "optim.schedulers": (
        "Schedules",
        """All have `total_steps` (else the length of the run), `warmup_steps` and `warmup_from`; after the end the last
value holds.""",
    ),
    "handlers": ("Steps", "`StepHandler` has a slot for each of the others; those of models and stops work alone."),
}

PAGES: dict[str, Callable[[], str]] = {"losses.md": losses_page, "metrics.md": metrics_page, "optim.md": optim_page}


def main() -> int:
    """Write the pages and their pictures, or with ``--check`` compare the pages."""
    stale = [name for name, make in PAGES.items() if not (HERE / name).is_file() or (HERE / name).read_text() != make()]
    if "--check" in sys.argv:
        print("\n".join(f"{name} is out of date: python docs/build.py" for name in stale))
        return len(stale)
    for name, make in PAGES.items():
        (HERE / name).write_text(make(), encoding="utf-8")
    (HERE / "pictures").mkdir(exist_ok=True)
    for name, (_, _, draw) in LOSS_PICTURES.items():
        draw(HERE / "pictures" / f"{name}.svg")
    print(f"dltools {dltools.__version__}: {', '.join(PAGES)}, {len(LOSS_PICTURES)} pictures")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What better means: the grammar, directions, feasibility, ties, and what is never best."""

from __future__ import annotations

import ast
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dltools.cfgutils import dump, load
from dltools.errors import ConfigError
from dltools.meters import Report
from dltools.metrics import Target, TargetCfg
from dltools.metrics.expression import Expression, comparison

VALUES = {"val/acc": 0.8, "val/loss": 0.4, "train/top5/x": 3.0, "a": -2.0, "zero": 0.0}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("val/acc", 0.8),
        ("a", -2.0),
        (" train/top5/x * 2", 6.0),
        ("val/acc / val/loss", 2.0),
        ("0.5*val/acc + .25 * val/loss", 0.5),
        ("val/acc - 1e-1", 0.7),
        ("-(val/acc + 1)", -1.8),
        ("+a", -2.0),
        ("1 - val/acc * 2", -0.6),
        ("(1 - val/acc) * 2", 0.4),
        ("min(val/acc, val/loss, 1)", 0.4),
        ("max(val/acc, 2)", 2.0),
        ("abs(a) + abs(-3 * a)", 8.0),
        ("hmean(val/acc, val/loss)", 2 * 0.8 * 0.4 / 1.2),
        ("hmean(zero, val/acc)", 0.0),
        ("min (a, 1)", -2.0),
        ("min + max", math.nan),  # names like any other
        ("missing", math.nan),
        ("max(missing, 1)", math.nan),
        ("val/acc / zero", math.nan),
        ("hmean(a, 2)", math.nan),
    ],
)
def test_arithmetic_on_names(text: str, value: float) -> None:
    assert Expression(text)(VALUES) == pytest.approx(value, rel=1e-15, nan_ok=True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1 + 2",
        "val/acc +",
        "val/acc/",
        "val/acc /val/loss",
        "2/val/acc",
        "(val/acc)/2",
        "val/acc ** 2",
        "val/acc // 2",
        "val/acc % 2",
        "val/acc > 1",
        "val/acc if a else b",
        "not a",
        "lambda: a",
        "[a]",
        "a[0]",
        "a, b",
        "a; b",
        "'a'",
        "a # b",
        "f'{a}'",
        "__import__('os')",
        "val/acc.__class__()",
        "exp(a)",
        "val/acc(2)",
        "abs(a, 1)",
        "min()",
        "max(*a)",
        "max(a, key=b)",
        "2 a",
        "1j * a",
        "1e999 * a",
        f"1{'0' * 400} * a",
        "a := 2",
        "a\n+ 1",
        "a @ 2",
        "~a",
        "(" * 300 + "a" + ")" * 300,
    ],
)
def test_all_else_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="names like val/loss"):
        Expression(text)


def test_typos_of_functions_are_named() -> None:
    with pytest.raises(ConfigError, match="unknown function 'hmaen'.*did you mean 'hmean'"):
        Expression("hmaen(a, b)")


@given(st.text(alphabet="ab/ .*+-(),019e_", max_size=14))
def test_whatever_is_taken_is_what_python_computes(text: str) -> None:
    try:
        expression = Expression(text)
    except ConfigError:
        return
    values = dict.fromkeys(expression.names, 2.0)
    plain = text
    for name in sorted(expression.names, key=len, reverse=True):
        plain = plain.replace(name, "(2.0)") if "/" in name else plain
    try:
        expected = eval(plain.strip(), {"__builtins__": {}}, dict.fromkeys(map(str, expression.names), 2.0))
    except ZeroDivisionError:
        expected = math.nan
    except (SyntaxError, NameError, TypeError):
        return  # a short name stood inside a long one
    assert isinstance(ast.parse(plain.strip(), mode="eval"), ast.Expression)
    assert expression(values) == pytest.approx(float(expected), nan_ok=True)


def test_constraints() -> None:
    assert comparison("val/acc >= .9").shortfall(VALUES) == pytest.approx(0.1)
    assert comparison("val/loss <= 0.5").shortfall(VALUES) == 0.0
    assert comparison(".5 <= val/loss").shortfall(VALUES) == pytest.approx(0.1)
    assert comparison("val/acc >= val/loss + 1").shortfall(VALUES) == pytest.approx(0.6)
    assert math.isnan(comparison("missing >= 1").shortfall(VALUES))
    for text in ("val/acc", "val/acc > 1", "1 >= 0", "a >= b >= c", "val/acc >= inf", "val/acc >= nan", "a >= "):
        with pytest.raises(ConfigError):
            comparison(text)


def report(higher: bool | None = None, **values: float) -> Report:
    return Report(values, higher=dict.fromkeys(values, higher))


def test_auto_follows_the_report() -> None:
    assert Target(expr="acc").better(report(True, acc=0.9), report(True, acc=0.8))
    assert Target(expr="loss").better(report(False, loss=0.1), report(False, loss=0.2))
    assert Target(expr="min(acc, f1) * 2").better(report(True, acc=0.9, f1=0.5), report(True, acc=0.4, f1=0.9))
    for given_, said in [(report(None, acc=1.0), "acc: unknown"), (0.5, "acc: unknown")]:
        with pytest.raises(ConfigError, match=f"{said}.*mode='min' or mode='max'"):
            Target(expr="acc").update(given_)
    mixed = Report({"acc": 1.0, "loss": 1.0}, higher={"acc": True, "loss": False})
    with pytest.raises(ConfigError, match="acc: more is better, loss: less is better"):
        Target(expr="acc + loss").update(mixed)


@pytest.mark.parametrize("expr", ["a - b", "-a", "1 - a", "1 / a", "a / (b + 1)", "hmean(a, -b)"])
def test_a_turned_direction_needs_a_mode_at_construction(expr: str) -> None:
    with pytest.raises(ConfigError, match="mode='min' or mode='max'"):
        TargetCfg(expr=expr)
    assert Target(expr=expr, mode="max").cfg.mode == "max"


def test_division_by_a_number_keeps_the_direction() -> None:
    assert Target(expr="acc / 2").better(report(True, acc=0.9), None)


def test_min_delta_and_ties() -> None:
    target = Target(expr="acc", mode="max", min_delta=0.125, tie_break=("min loss", "max speed"))
    best = {"acc": 0.5, "loss": 0.4, "speed": 1.0}
    for new, better in [
        ({"acc": 0.75, "loss": 9.0, "speed": 0.0}, True),
        ({"acc": 0.25, "loss": 0.0, "speed": 9.0}, False),
        ({"acc": 0.625, "loss": 0.5, "speed": 9.0}, False),
        ({"acc": 0.625, "loss": 0.3, "speed": 0.0}, True),
        ({"acc": 0.375, "loss": 0.3, "speed": 0.0}, True),
        ({"acc": 0.5, "loss": 0.4, "speed": 2.0}, True),
        (dict(best), False),
        ({"acc": 0.9, "loss": math.nan, "speed": 0.0}, False),
        ({"acc": 0.9}, False),
    ]:
        assert target.better(new, best) is better, new


def test_feasible_reports_come_first_then_the_least_shortfall() -> None:
    target = Target(expr="loss", mode="min", subject_to=("recall >= 0.75", "size <= 8"))
    bad, worse = {"loss": 0.1, "recall": 0.5, "size": 8}, {"loss": 0.0, "recall": 0.5, "size": 9}
    good = {"loss": 0.9, "recall": 0.75, "size": 8}
    assert target.update(worse) == (True, 0.0, False)
    assert target.update(bad) == (True, 0.1, False)
    assert target.update(good) == (True, 0.9, True)
    assert target.update(bad) == (False, 0.1, False)
    assert target.update({"loss": 0.0, "size": 8}) == (False, 0.0, False)
    assert target.update({**good, "loss": 0.8}).is_best
    assert target.best is not None
    assert dict(target.best) == {**good, "loss": 0.8}


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_never_best(bad: float) -> None:
    target = Target(expr="loss", mode="min")
    assert not target.better({"loss": bad}, None)
    verdict = target.update({"loss": bad})
    assert not verdict.is_best
    assert target.best is None
    assert target.update({}).is_best is False
    assert target.update({"loss": 1.0}).is_best
    assert not target.update({"loss": bad}).is_best
    assert target.better({"loss": 5.0}, {"loss": math.nan})


def test_better_is_pure_and_numbers_stand_for_the_value() -> None:
    target = Target(expr="loss", mode="min")
    assert target.better(0.1, 0.2)
    assert target.best is None
    assert target.update(0.3).is_best
    assert not target.update(0.3).is_best
    assert target.best is not None
    assert target.best["loss"] == 0.3


@given(st.lists(st.sampled_from([0.0, 1.0, 2.0, math.nan]), max_size=12), st.sampled_from(["min", "max"]))
def test_the_best_is_that_of_the_list(values: list[float], mode: Any) -> None:
    target = Target(expr="x", mode=mode)
    verdicts = [target.update({"x": value}).is_best for value in values]
    good = [value for value in values if not math.isnan(value)]
    if not good:
        assert target.best is None
        assert not any(verdicts)
        return
    best = (min if mode == "min" else max)(good)
    assert target.best is not None
    assert target.best["x"] == best
    assert max(i for i, is_best in enumerate(verdicts) if is_best) == values.index(best)


def test_state_goes_on() -> None:
    target, fresh = Target(expr="acc"), Target(expr="acc")
    fresh.load_state_dict(target.state_dict())
    assert fresh.best is None
    target.update(report(True, acc=0.5))
    fresh.load_state_dict(target.state_dict())
    assert not fresh.update(report(True, acc=0.4)).is_best
    assert fresh.update(report(True, acc=0.6)).is_best
    assert target.state_dict() == {"values": {"acc": 0.5}, "higher": {"acc": True}}


def test_configs() -> None:
    cfg = TargetCfg(expr="a", mode="max", tie_break=("min b",), subject_to=("c >= .9",))
    assert load(TargetCfg, dump(cfg)) == cfg
    for fields in (
        {"expr": "a b"},
        {"mode": "up"},
        {"min_delta": -1.0},
        {"tie_break": ("b",)},
        {"tie_break": ("min exp(b)",)},
        {"subject_to": ("c > 1",)},
    ):
        with pytest.raises(ConfigError):
            TargetCfg(**fields)

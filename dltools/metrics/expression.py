"""Arithmetic on the names of a report: ``hmean(val/precision, val/recall) - 0.1 * val/ece``."""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, NoReturn

from dltools.errors import ConfigError, did_you_mean

NAME = re.compile(r"(?<![\w.])[A-Za-z_][\w.]*(?:/[\w.]+)*")
SIGNS: dict[type[ast.operator], str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
GRAMMAR = "names like val/loss, numbers, + - * / (division between spaces), min max hmean abs"

Values = Mapping[str, float]


def hmean(x: Sequence[float]) -> float:
    """Harmonic mean, n / sum(1 / x); 0 if any is 0.

    >>> hmean([1.0, 0.5])
    0.6666666666666666
    """
    return 0.0 if 0.0 in x else len(x) / sum(1 / one for one in x)


def magnitude(x: Sequence[float]) -> float:
    """Absolute value of the only argument."""
    return abs(x[0])


FUNCTIONS: dict[str, Callable[[Sequence[float]], float]] = {"min": min, "max": max, "hmean": hmean, "abs": magnitude}
OPERATORS: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}


class Expression:
    """A parsed formula; what it may contain is all that it can do.

    >>> formula = Expression("0.5 * val/acc + 0.5 * val/f1")
    >>> formula({"val/acc": 0.8, "val/f1": 0.6}), formula.names
    (0.7, ('val/acc', 'val/f1'))
    >>> Expression("eval(val/acc)")
    Traceback (most recent call last):
    dltools.errors.ConfigError: 'eval(val/acc)': unknown function 'eval'. Expected names like val/loss, ...
    """

    def __init__(self, text: str) -> None:
        self.text: str = text
        self._parser = _Parser(text)
        self._tree = self._parser.parse()
        self.names: tuple[str, ...] = tuple(dict.fromkeys(self._parser.names))
        if not self.names:
            self._parser.refuse("it names no value")

    @property
    def turns(self) -> bool:
        """Whether it subtracts or divides by a name, so that its direction is not that of its names."""
        return self._parser.turns

    def __call__(self, values: Values) -> float:
        """The number; NaN where a name is missing or a value is NaN, or for a division by zero."""
        found = {name: float(values.get(name, math.nan)) for name in self.names}
        if any(map(math.isnan, found.values())):
            return math.nan
        try:
            return self._tree(found)
        except (ZeroDivisionError, OverflowError):
            return math.nan

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"


class Comparison(NamedTuple):
    """A constraint, ``val/recall >= 0.9``."""

    larger: Expression | float
    smaller: Expression | float

    def shortfall(self, values: Values) -> float:
        """By how much it is missed; 0 if it holds."""
        larger, smaller = (side(values) if isinstance(side, Expression) else side for side in self)
        gap = smaller - larger
        return gap if math.isnan(gap) else max(0.0, gap)

    @property
    def names(self) -> tuple[str, ...]:
        """All names in it."""
        return tuple(name for side in self if isinstance(side, Expression) for name in side.names)


def comparison(text: str) -> Comparison:
    """Parse a constraint.

    >>> comparison("val/recall >= 0.9").shortfall({"val/recall": 0.75})
    0.15000000000000002
    """
    sides = re.split(r"(>=|<=)", text)
    if len(sides) != 3:
        raise ConfigError(f"constraint {text!r}", expected="one >= or <=, as in 'val/recall >= 0.9'")
    left, right = (_side(side.strip()) for side in sides[::2])
    found = Comparison(left, right) if sides[1] == ">=" else Comparison(right, left)
    if not found.names:
        raise ConfigError(f"constraint {text!r} names no value", expected="one name, as in 'val/recall >= 0.9'")
    return found


def _side(text: str) -> Expression | float:
    try:
        number = float(text)
    except ValueError:
        return Expression(text)
    if not math.isfinite(number):
        raise ConfigError(f"{text!r} in a constraint", expected="a finite number or names")
    return number


Node = Callable[[Values], float]


class _Parser:
    """Python's own parser reads the text with a placeholder for each name; nothing but what is listed may be in it."""

    def __init__(self, text: str) -> None:
        self.text: str = text
        self.names: list[str] = []
        self.turns = False

    def parse(self) -> Node:
        if foreign := re.search(r"[^\w./*+(), -]", self.text):
            self.refuse(f"it has a {foreign.group()!r}")
        plain = NAME.sub(self.placeholder, self.text)
        if re.search(r"[\w.)]/|/[\w.(]", plain):
            self.refuse("a division without spaces", "a / b divides, a/b is one name")
        try:
            return self.node(ast.parse(plain.strip(), mode="eval").body)
        except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError):
            self.refuse("it cannot be read")

    def placeholder(self, match: re.Match[str]) -> str:
        name = match.group()
        if self.text[match.end() :].lstrip().startswith("("):
            if name not in FUNCTIONS:
                self.refuse(f"unknown function {name!r}", did_you_mean(name, FUNCTIONS))
            return f"f_{name}"
        self.names.append(name)
        return f"n_{len(self.names) - 1}"

    def node(self, node: ast.expr) -> Node:
        match node:
            case ast.Constant(value=int() | float() as value) if not isinstance(value, bool) and math.isfinite(value):
                number = float(value)
                return lambda _: number
            case ast.Name(id=place) if place.startswith("n_"):
                name = self.names[int(place[2:])]
                return lambda values: values[name]
            case ast.UnaryOp(op=ast.UAdd() | ast.USub() as sign, operand=operand):
                return self.signed(isinstance(sign, ast.USub), self.node(operand))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in SIGNS:
                return self.binary(SIGNS[type(op)], left, right)
            case ast.Call(func=ast.Name(id=place), args=[_, *_] as args, keywords=[]) if place.startswith("f_"):
                return self.call(place[2:], [self.node(arg) for arg in args])
            case _:
                return self.refuse("it holds more than arithmetic on names")

    def signed(self, minus: bool, operand: Node) -> Node:
        self.turns |= minus
        return (lambda values: -operand(values)) if minus else operand

    def binary(self, sign: str, left: ast.expr, right: ast.expr) -> Node:
        first, before = self.node(left), OPERATORS[sign]
        second = self.node(right)
        divides_by_name = sign == "/" and any(isinstance(x, ast.Name) and x.id[0] == "n" for x in ast.walk(right))
        self.turns |= sign == "-" or divides_by_name
        return lambda values: before(first(values), second(values))

    def call(self, name: str, args: list[Node]) -> Node:
        function = FUNCTIONS[name]
        if name == "abs" and len(args) != 1:
            self.refuse(f"abs of {len(args)} values")
        return lambda values: function([arg(values) for arg in args])

    def refuse(self, why: str, hint: str = "") -> NoReturn:
        raise ConfigError(f"{self.text!r}: {why}", expected=GRAMMAR, hint=hint) from None

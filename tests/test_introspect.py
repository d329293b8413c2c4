from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

import pytest

from dltools._introspect import base_arguments, field_docs, field_names, full_name, hints, note_scope, scope
from dltools.errors import ConfigError

T = TypeVar("T")


class Noted(Generic[T]):
    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        note_scope(cls)


class Between(Noted[T]):
    def __init_subclass__(cls) -> None:
        super().__init_subclass__()


@dataclass
class Base:
    """Of two fields."""

    first: int = 0
    """What comes first,

    and more.
    """
    second: int = 0
    third = "no field"
    """Of no field."""


@dataclass
class Derived(Base):
    second: int = 1
    """Said later."""
    fourth: str = ""
    fifth: int = 5
    sixth: int = 6


def test_fields_and_their_docs_in_the_order_of_the_definition() -> None:
    assert field_names(Derived) == ["first", "second", "fourth", "fifth", "sixth"]
    assert field_docs(Derived) == {"first": "What comes first,\n\nand more.", "second": "Said later."}
    assert list(field_docs(Derived)) == ["first", "second"]
    assert field_docs(Base) == {"first": "What comes first,\n\nand more."}


def test_a_class_without_a_source_has_no_docs() -> None:
    names: dict[str, Any] = {"dataclass": dataclass, "__name__": __name__}
    exec("@dataclass\nclass Lost:\n    a: int = 0\n    'doc'\n", names)
    assert field_docs(names["Lost"]) == {}


def test_local_names_are_found_around_the_class() -> None:
    class Inner:
        pass

    class Outer(Between[int]):
        inner: Inner
        other: list[T]  # type: ignore[valid-type]

    assert hints(Outer) == {"inner": Inner, "other": list[T]}  # type: ignore[valid-type]
    assert scope(Outer)["Inner"] is Inner
    assert scope(Between) == {}


def test_an_annotation_that_is_nowhere_is_named() -> None:
    class Lost(Between[int]):
        inner: Nowhere  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(ConfigError, match="Lost: name 'Nowhere' is not .* Hint: import or define it beside the class"):
        hints(Lost)
    assert scope(Base) == {}


def test_annotations_keep_what_is_said_beside_the_type() -> None:
    class Said(Between[int]):
        __annotations__ = {"field": "Annotated[int, 3]"}

    assert hints(Said) == {"field": Annotated[int, 3]}


def test_names_and_arguments() -> None:
    class Local(Between[int]):
        pass

    assert full_name(Base) == f"{__name__}.Base"
    assert full_name(Local) == f"{__name__}.Local"
    assert (base_arguments(Local), base_arguments(Between), base_arguments(Base)) == ([int], [T], [])

"""The house's `dataclass` makes the classes that the standard library's makes."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import typing
from dataclasses import FrozenInstanceError, asdict, dataclass, field, fields, replace
from typing import Any, ClassVar

import pytest

from audsql import records


def _classes(make: Any) -> dict[str, Any]:
    """The same classes by either decorator."""

    @make(frozen=True, slots=True)
    class Point:
        """A place."""

        x: int
        y: float = 0.5
        names: list[str] = field(default_factory=list)
        hidden: str = field(default="h", compare=False, repr=False)
        made: str = field(default="", init=False)
        count: ClassVar[int] = 3

        def __post_init__(self) -> None:
            object.__setattr__(self, "made", f"{self.x}!")

    @make(frozen=True, slots=True)
    class Further(Point):
        z: int = 7

    @make(frozen=True, slots=True)
    class Nothing:
        pass

    @make(frozen=True, slots=True)
    class One:
        value: Any

    @make(frozen=True, slots=True)
    class Hashed:
        value: Any

        def __hash__(self) -> int:
            return 5

    @make(frozen=True, slots=True, eq=False)
    class Same:
        value: int

    @make(slots=True)
    class Counter:
        total: int = 0
        seen: set[int] = field(default_factory=set)
        own: list[int] = field(default_factory=list, init=False)

    @make(frozen=True, slots=True, order=True)
    class Ordered:
        first: int
        second: int = 0

    @make(frozen=True, slots=True)
    class OnTop(Ordered):
        third: int = 1

    return {name: value for name, value in locals().items() if isinstance(value, type)}


OURS, THEIRS = _classes(records.dataclass), _classes(dataclass)
VALUES: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("Point", (1,), {}),
    ("Point", (1, 2.0, ["a"], "other"), {}),
    ("Point", (), {"hidden": "q", "x": 1}),
    ("Further", (1, 2.0), {"z": 9}),
    ("Nothing", (), {}),
    ("One", ((1, 2),), {}),
    ("One", (float("nan"),), {}),
    ("Hashed", (1,), {}),
    ("Same", (4,), {}),
    ("Counter", (), {}),
    ("Counter", (3,), {"seen": {1}}),
    ("Ordered", (1,), {}),
    ("OnTop", (1, 2, 3), {}),
]
WRONG: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("Point", (), {}),
    ("Point", (1, 2, [], "", "made"), {}),
    ("Point", (1,), {"x": 2}),
    ("Nothing", (1,), {}),
    ("One", (), {"other": 1}),
]


@pytest.mark.parametrize(("name", "given", "named"), VALUES)
def test_values_are_the_same(name: str, given: tuple[Any, ...], named: dict[str, Any]) -> None:
    ours, theirs = OURS[name](*given, **named), THEIRS[name](*given, **named)
    assert repr(ours) == repr(theirs)
    assert asdict(ours) == asdict(theirs) or name == "One"
    assert repr(replace(ours)) == repr(theirs)
    assert repr(copy.copy(ours)) == repr(copy.deepcopy(ours)) == repr(theirs)
    again, theirs_again = OURS[name](*given, **named), THEIRS[name](*given, **named)
    assert (ours == again, ours == theirs, ours != again) == (
        theirs == theirs_again,
        theirs == ours,
        theirs != theirs_again,
    )
    assert not hasattr(ours, "__dict__")
    if name not in ("Same", "Counter", "Point", "Further"):
        assert hash(ours) == hash(theirs)


@pytest.mark.parametrize(("name", "given", "named"), WRONG)
def test_wrong_arguments_are_refused_alike(name: str, given: tuple[Any, ...], named: dict[str, Any]) -> None:
    with pytest.raises(TypeError) as ours:
        OURS[name](*given, **named)
    with pytest.raises(TypeError) as theirs:
        THEIRS[name](*given, **named)
    assert str(ours.value) == str(theirs.value)


@pytest.mark.parametrize("name", sorted(OURS))
def test_classes_are_the_same(name: str) -> None:
    ours, theirs = OURS[name], THEIRS[name]
    assert ours.__doc__ == theirs.__doc__ or theirs.__doc__.startswith(f"{name}(")
    assert (ours.__slots__, ours.__match_args__) == (theirs.__slots__, theirs.__match_args__)
    assert [(one.name, one.type, one.init) for one in fields(ours)] == [
        (one.name, one.type, one.init) for one in fields(theirs)
    ]
    given = [(one.name, one.kind) for one in inspect.signature(ours).parameters.values()]
    assert given == [(one.name, one.kind) for one in inspect.signature(theirs).parameters.values()]
    assert typing.get_type_hints(ours.__init__, localns=OURS).keys() == typing.get_type_hints(theirs.__init__).keys()
    assert (ours.__hash__ is None) == (theirs.__hash__ is None)
    assert dataclasses.is_dataclass(ours)


@pytest.mark.parametrize("name", ["Point", "Further", "Ordered", "OnTop"])
def test_what_is_frozen_cannot_be_changed(name: str) -> None:
    told = []
    for kind in (OURS[name], THEIRS[name]):
        value, own = kind(1), fields(kind)[0].name
        with pytest.raises(FrozenInstanceError) as setting:
            setattr(value, own, 2)
        with pytest.raises(FrozenInstanceError) as deleting:
            delattr(value, own)
        told.append((str(setting.value), str(deleting.value)))
    assert told[0] == told[1]


def test_what_is_not_frozen_can() -> None:
    first, second = OURS["Counter"](), OURS["Counter"]()
    first.total += 1
    first.seen.add(first.total)
    assert (first.seen, second.seen, first == second) == ({1}, set(), False)
    first.own.append(first)
    assert repr(first).endswith("own=[...])")


@records.dataclass(frozen=True, slots=True)
class Point:
    x: int
    y: int = 2


def test_a_match_takes_the_fields_in_order() -> None:
    match Point(1):
        case Point(first, second):
            assert (first, second) == (1, 2)


def test_a_value_is_pickled_and_read_back() -> None:
    value = Point(1, 3)
    assert pickle.loads(pickle.dumps(value)) == value

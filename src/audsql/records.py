"""`dataclass` for classes with slots: the same classes, made in a fifth of the time.

The one of the standard library compiles six functions for a class, half a millisecond each time that Python starts;
a command loads hundreds of classes and makes values of a third of them. Here `__init__` and `__repr__` are compiled
when they are first looked up, and the other functions are shared. `fields`, `replace`, `asdict`, `match`, `copy` and
pickling work as with the original (specs/decisions/0019).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, FrozenInstanceError, fields
from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any

__all__ = ["dataclass"]

if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    from dataclasses import dataclass as _original

    def dataclass(kind=None, /, *, frozen=False, slots=False, eq=True, order=False):
        """As `dataclasses.dataclass` with these options. Without slots, or with an order, it is that one."""

        def made(kind):
            if order or not slots or _has_frozen_original(kind):
                return _original(kind, frozen=frozen, slots=slots, eq=eq, order=order)
            own = kind.__dict__
            return _completed(_original(kind, init=False, repr=False, eq=False, slots=True), own, frozen, eq)

        return made if kind is None else made(kind)


def _has_frozen_original(kind: type) -> bool:
    """The original refuses to mix frozen classes with others, and takes those made here for others."""
    parameters = (base.__dict__.get("__dataclass_params__") for base in kind.__mro__)
    return any(one is not None and one.frozen for one in parameters)


def _completed(kind: Any, own: Mapping[str, Any], is_frozen: bool, has_equality: bool) -> Any:
    """`own`: what stands in the class as it is written."""
    if "__init__" not in own:
        kind.__init__ = _Unwritten(kind, "__init__", _init_of)
    if "__repr__" not in own:
        kind.__repr__ = _Unwritten(kind, "__repr__", _frozen_repr_of if is_frozen else _repr_of)
    if has_equality:
        _add_equality(kind, own, is_frozen)
    if is_frozen:
        kind.__setattr__ = _refuse_to_set
        kind.__delattr__ = _refuse_to_delete
        if "__getstate__" not in own:
            kind.__getstate__ = _getstate
            kind.__setstate__ = _setstate
    return kind


# --- written when it is first looked up -----------------------------------------------------------------


class _Unwritten:
    """Stands where a function of a class will stand, and puts it there when it is first looked up."""

    def __init__(self, kind: Any, name: str, write: Callable[[Any], Any]) -> None:
        self.kind, self.name, self.write = kind, name, write

    def __get__(self, value: Any, owner: Any) -> Any:
        function = self.write(self.kind)
        function.__qualname__ = f"{self.kind.__qualname__}.{self.name}"
        setattr(self.kind, self.name, function)
        return function if value is None else function.__get__(value, owner)


def _init_of(kind: Any) -> Any:
    """`__init__` that sets the slots themselves: half the time of `object.__setattr__` by name."""
    names: dict[str, Any] = {"_missing": MISSING}
    given: list[str] = ["self"]
    lines: list[str] = []
    for one in fields(kind):
        _add_field(one, kind, names, given, lines)
    if hasattr(kind, "__post_init__"):
        lines.append("self.__post_init__()")
    init = _compiled(kind, "__init__", given, lines or ["pass"], names)
    init.__annotations__ = {**{one.name: one.type for one in fields(kind) if one.init}, "return": None}
    return init


def _add_field(one: Field[Any], kind: Any, names: dict[str, Any], given: list[str], lines: list[str]) -> None:
    name, value = one.name, one.name
    if one.default_factory is not MISSING:
        names[f"_factory_{name}"] = one.default_factory
        value = f"_factory_{name}() if {name} is _missing else {name}" if one.init else f"_factory_{name}()"
        given += [f"{name}=_missing"] if one.init else []
    elif one.default is not MISSING:
        names[f"_default_{name}"] = one.default
        value = name if one.init else f"_default_{name}"
        given += [f"{name}=_default_{name}"] if one.init else []
    elif one.init:
        given.append(name)
    else:
        return
    names[f"_set_{name}"] = getattr(kind, name).__set__
    lines.append(f"_set_{name}(self, {value})")


def _frozen_repr_of(kind: Any) -> Any:
    shown = ", ".join(f"{one.name}={{self.{one.name}!r}}" for one in fields(kind) if one.repr)
    return _compiled(kind, "__repr__", ["self"], [f'return f"{{self.__class__.__qualname__}}({shown})"'], {})


def _repr_of(kind: Any) -> Any:
    # What can be changed can be made to hold itself.
    return recursive_repr()(_frozen_repr_of(kind))


def _compiled(kind: Any, name: str, given: list[str], lines: list[str], names: dict[str, Any]) -> Any:
    body = "\n  ".join(lines)
    text = f"def make({', '.join(names)}):\n def {name}({', '.join(given)}):\n  {body}\n return {name}"
    made: dict[str, Any] = {}
    exec(text, sys.modules[kind.__module__].__dict__, made)  # noqa: S102  as `dataclass` does
    return made["make"](**names)


# --- shared ---------------------------------------------------------------------------------------------


def _add_equality(kind: Any, own: Mapping[str, Any], is_frozen: bool) -> None:
    values_of = _values_getter([one.name for one in fields(kind) if one.compare])
    hashed_of = _values_getter([one.name for one in fields(kind) if (one.compare if one.hash is None else one.hash)])

    def __eq__(self: Any, other: object) -> Any:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return values_of(self) == values_of(other)

    def __hash__(self: Any) -> int:
        return hash(hashed_of(self))

    if "__eq__" not in own:
        kind.__eq__ = __eq__
    # Python writes `__hash__ = None` into a class with an `__eq__` of its own.
    if own.get("__hash__") is None:
        kind.__hash__ = __hash__ if is_frozen else None


def _values_getter(names: list[str]) -> Callable[[Any], tuple[Any, ...]]:
    if len(names) > 1:
        return attrgetter(*names)
    if not names:
        return lambda value: ()
    get = attrgetter(names[0])
    return lambda value: (get(value),)


def _refuse_to_set(self: Any, name: str, value: object) -> None:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(self: Any, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _getstate(self: Any) -> list[Any]:
    return [getattr(self, one.name) for one in fields(self)]


def _setstate(self: Any, state: list[Any]) -> None:
    for one, value in zip(fields(self), state, strict=True):
        object.__setattr__(self, one.name, value)

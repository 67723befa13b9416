"""`made_often` changes how fast a value is made, and nothing else."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass, field, replace

import pytest

from audsql.source import made_often


@dataclass(frozen=True, slots=True)
class Plain:
    first: int
    second: str = "x"
    third: str = field(default="", init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "third", f"{self.first}{self.second}")


@made_often
@dataclass(frozen=True, slots=True)
class Quick:
    first: int
    second: str = "x"
    third: str = field(default="", init=False)
    fourth: str = field(default="f", init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "third", f"{self.first}{self.second}")


def test_it_is_made_as_before() -> None:
    assert (Quick(1).third, Quick(1, "y").third, Quick(second="z", first=2).third) == ("1x", "1y", "2z")
    assert Quick(1).fourth == "f"
    assert Quick(1) == Quick(1, "x") != Quick(2)
    assert hash(Quick(1)) == hash(Quick(1, "x"))
    assert replace(Quick(1), first=3).third == replace(Plain(1), first=3).third


def test_it_is_frozen_and_asks_for_its_fields() -> None:
    with pytest.raises(FrozenInstanceError):
        Quick(1).first = 2  # type: ignore[misc]
    with pytest.raises(TypeError):
        Quick()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        Quick(1, "x", "y")  # type: ignore[call-arg]


def test_a_default_factory_is_refused() -> None:
    @dataclass(frozen=True, slots=True)
    class Made:
        items: list[int] = field(default_factory=list)

    with pytest.raises(TypeError, match="Made"):
        made_often(Made)

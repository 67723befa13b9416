"""Sets of one kind of id as ids of another: joined through the rows of a table, and what was lost is counted."""

from __future__ import annotations

from pathlib import Path

import pytest
from data_helpers import AS_OF, codes, engine, project, told, user_id

from audsql.data.engine import LinkageLoss, Materialised
from audsql.data.exclusions import empty_exclusions, excluded_atoms
from audsql.meaning.ir import (
    Bucket,
    Linked,
    Mapped,
    TableSource,
    Uploaded,
    UploadSource,
    land,
    leaf,
    lnot,
)
from audsql.meaning.lineage import sources_of, with_parts

PHONES, OPTOUT, CODES, BUYERS = (Uploaded(name) for name in ("phones", "optout", "codes", "buyers"))
MAPPED = Mapped("members", "phone", leaf(PHONES))
LESS = Mapped("members", "phone", land(leaf(PHONES), lnot(leaf(OPTOUT))))
SHOP = project(
    (
        UploadSource("phones", "phones.txt", "phone"),
        UploadSource("optout", "optout.txt", "phone"),
        UploadSource("codes", "codes.txt", "member_id"),
        UploadSource("buyers", "buyers.txt", "user_id"),
    ),
    (TableSource("members", "members.csv", (("user_id", "uid"), ("phone", "tel"), ("member_id", "code"))),),
)
A, B, C, D = (user_id(number) for number in (10, 11, 12, 13))


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    # A has two telephones, the second is shared with B; C has none; a row has no user.
    rows = [f"{A},090-1111-1111,m1", f"{A},09022222222,m1", f"{B},090 2222 2222,m2", f"{C},,m3", ",09033333333,m4"]
    rows += [f"{A},09011111111,m1"]
    (tmp_path / "members.csv").write_text("\n".join(["uid,tel,code", *rows, ""]))
    (tmp_path / "phones.txt").write_text("090-2222-2222\n(090)33333333\n09099999999\n")
    (tmp_path / "optout.txt").write_text("09011111111\n")
    (tmp_path / "codes.txt").write_text("m1\nm3\nm9\n")
    (tmp_path / "buyers.txt").write_text(f"{D}\n")
    return tmp_path


def listed(root: Path, *atoms: Mapped) -> tuple[list[list[str]], Materialised]:
    used = engine(root, SHOP)
    found, problems = used.materialise(atoms, AS_OF)
    assert problems == ()
    return [list(used.members(found.people[atom.key])) for atom in atoms], found


@pytest.mark.parametrize("run", ["cold", "warm"])
def test_one_to_many_both_ways(shop: Path, run: str) -> None:
    if run == "warm":
        listed(shop, MAPPED)
    (people,), found = listed(shop, MAPPED)
    assert people == [A, B]
    assert found.losses == {MAPPED.key: LinkageLoss("members", "phone", "user_id", 3, 2, 2)}
    assert sorted(found.sources) == ["members", "phones"]
    assert (found.sources["members"].rows, found.sources["members"].blank_ids) == (6, 2)


def test_between_kinds_that_are_no_user_ids(shop: Path) -> None:
    (phones,), found = listed(shop, Mapped("members", "member_id", leaf(CODES), "phone"))
    assert phones == ["09011111111", "09022222222"]
    assert [loss.to_document() for loss in found.losses.values()] == [
        {"table": "members", "from": "member_id", "to": "phone", "given": 3, "lost": 2, "found": 2}
    ]


def test_a_mapped_set_inside_a_mapped_set(shop: Path) -> None:
    phones = Mapped("members", "member_id", leaf(CODES), "phone")
    both = Mapped("members", "phone", land(leaf(phones), lnot(leaf(OPTOUT))))
    (people,), found = listed(shop, both)
    assert people == [A, B]
    assert set(found.losses) == {both.key, phones.key}
    assert sources_of(both) == ("codes", "members", "optout")
    assert [part.key for part in with_parts([both])][-1] == both.key


def test_the_set_is_decided_before_it_is_mapped(shop: Path) -> None:
    (shop / "phones.txt").write_text("09011111111\n09022222222\n")
    (all_of_them, without), _ = listed(shop, MAPPED, LESS)
    assert (all_of_them, without) == ([A, B], [A, B]), "A's other telephone did not opt out"
    (shop / "phones.txt").write_text("09011111111\n")
    assert listed(shop, MAPPED, LESS)[0] == [[A], []]


def test_it_joins_with_lists_of_the_other_kind(shop: Path) -> None:
    used = engine(shop, SHOP)
    found, _ = used.materialise([MAPPED, BUYERS, Linked("members")], AS_OF)
    expression = land(leaf(Linked("members")), lnot(leaf(MAPPED)))
    assert list(used.members(used.evaluate(expression, found.people))) == [C]
    assert used.count(used.evaluate(land(leaf(MAPPED), leaf(BUYERS)), found.people)) == 0


def test_a_linkage_without_pairs_is_refused(shop: Path) -> None:
    (shop / "members.csv").write_text(f"uid,tel,code\n{A},,m1\n,09022222222,m2\n")
    found, problems = engine(shop, SHOP).materialise([MAPPED], AS_OF)
    assert codes(problems) == ["AUD1052"]
    assert told(problems[0]) == {"table": "members", "given": "phone", "found": "user_id", "count": 2}
    assert MAPPED.key not in found.people


def test_both_columns_obey_the_rules_of_ids(shop: Path) -> None:
    (shop / "members.csv").write_text(f"uid,tel,code\n{A},+81 90 1111 1111,m1\nU1,09022222222,m2\n")
    found, problems = engine(shop, SHOP).materialise([MAPPED], AS_OF)
    assert sorted(codes(problems)) == ["AUD1019", "AUD1027"]
    assert found.people.keys() == {PHONES.key}


def test_pins_hold_for_the_linkage_and_for_what_is_mapped(shop: Path) -> None:
    _, found = listed(shop, MAPPED)
    pins = {name: facts.digest for name, facts in found.sources.items()}
    (shop / "members.csv").write_text(f"uid,tel,code\n{D},09022222222,m1\n")
    (shop / "phones.txt").write_text("09033333333\n")
    used = engine(shop, SHOP)
    then, _ = used.materialise([MAPPED], AS_OF, pins)
    assert list(used.members(then.people[MAPPED.key])) == [A, B]
    only_list, _ = used.materialise([MAPPED], AS_OF, {"phones": pins["phones"]})
    assert list(used.members(only_list.people[MAPPED.key])) == [D]
    lost, problems = used.materialise([MAPPED], AS_OF, {"members": "0" * 64})
    assert problems == ()
    assert MAPPED.key not in lost.people


def test_what_is_mapped_can_be_made_anew(shop: Path) -> None:
    used = engine(shop, SHOP)
    found, _ = used.materialise([LESS, BUYERS], AS_OF)
    assert list(used.members(found.people[LESS.key])) == [A, B]
    more = dict(found.people) | {OPTOUT.key: found.people[PHONES.key]}
    assert used.count(used.derive([LESS], more, found)[LESS.key]) == 0
    kept = used.derive([LESS], more, found, {LESS.key: found.people[BUYERS.key]})
    assert list(used.members(kept[LESS.key])) == [D]


def test_a_bucket_inside_is_of_what_is_mapped(shop: Path) -> None:
    bucket = Bucket("s", 0, 10_000)
    whole = Mapped("members", "phone", land(leaf(PHONES), leaf(bucket)))
    none = Mapped("members", "phone", land(leaf(PHONES), leaf(Bucket("s", 0, 0))))
    assert listed(shop, whole, none)[0] == [[A, B], []]


def test_exclusions_are_seen_through_a_mapping(shop: Path) -> None:
    assert [atom.key for atom in excluded_atoms(leaf(LESS))] == [OPTOUT.key]
    assert {atom.key for atom in excluded_atoms(lnot(leaf(LESS)))} == {LESS.key, PHONES.key}
    (shop / "optout.txt").write_text("")
    found, _ = engine(shop, SHOP).materialise([LESS], AS_OF)
    problems = empty_exclusions(SHOP, leaf(LESS), found.sources)
    assert [told(problem)["name"] for problem in problems] == ["optout"]
    (shop / "members.csv").write_text("uid,tel,code\n")
    found, problems = engine(shop, SHOP).materialise([MAPPED], AS_OF)
    assert codes(problems) == ["AUD1005"]
    problems = empty_exclusions(SHOP, lnot(leaf(MAPPED)), found.sources)
    assert [told(problem)["name"] for problem in problems] == ["members"]

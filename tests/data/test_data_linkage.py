"""Sets of one kind of id as ids of another: joined through the rows of a table, and what was lost is counted."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from data_helpers import AS_OF, codes, engine, project, told, user_id

from audsql.data.engine import LinkageKept, LinkageLoss, Materialised
from audsql.data.exclusions import empty_exclusions, excluded_atoms
from audsql.data.linkage import kept_by_another_id
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


# --- one to many, both ways -------------------------------------------------------------------------


def test_one_member_with_two_accounts_is_two_user_ids(shop: Path) -> None:
    (shop / "members.csv").write_text(f"uid,tel,code\n{A},,m1\n{B},,m1\n{C},,m2\n")
    (shop / "codes.txt").write_text("m1\n")
    assert listed(shop, Mapped("members", "member_id", leaf(CODES)))[0] == [[A, B]]


def test_two_members_on_one_account_are_one_user_id(shop: Path) -> None:
    (shop / "members.csv").write_text(f"uid,tel,code\n{A},,m1\n{A},,m3\n{B},,m2\n")
    (people,), found = listed(shop, Mapped("members", "member_id", leaf(CODES)))
    assert people == [A], "once, by whichever"
    assert next(iter(found.losses.values())) == LinkageLoss("members", "member_id", "user_id", 3, 1, 1)


@pytest.mark.parametrize("refused", ["09011111111", "09022222222"])
def test_whoever_is_excluded_by_any_id_is_out(shop: Path, refused: str) -> None:
    """Among user IDs: A has both telephones, and either takes A away."""
    (shop / "optout.txt").write_text(f"{refused}\n")
    without = land(leaf(Linked("members")), lnot(leaf(Mapped("members", "phone", leaf(OPTOUT)))))
    used = engine(shop, SHOP)
    found, _ = used.materialise([Linked("members"), Mapped("members", "phone", leaf(OPTOUT))], AS_OF)
    assert A not in used.members(used.evaluate(without, found.people))


def test_excluded_through_a_chain_of_mappings_too(shop: Path) -> None:
    """A member number to its telephones to whoever has any of them: B shares one with A, who is excluded."""
    (shop / "codes.txt").write_text("m1\n")
    phones = Mapped("members", "member_id", leaf(CODES), "phone")
    people = Mapped("members", "phone", leaf(phones))
    used = engine(shop, SHOP)
    found, _ = used.materialise([Linked("members"), people], AS_OF)
    left = used.evaluate(land(leaf(Linked("members")), lnot(leaf(people))), found.people)
    assert list(used.members(left)) == [C]


def test_the_order_of_rows_and_repeated_pairs_change_nothing(shop: Path) -> None:
    before = listed(shop, MAPPED, LESS)[0]
    head, *rows = (shop / "members.csv").read_text().splitlines()
    (shop / "members.csv").write_text("\n".join([head, *reversed(rows), *rows, ""]))
    assert listed(shop, MAPPED, LESS)[0] == before


def test_random_linkages_against_sets_of_python(tmp_path: Path) -> None:
    """Mapped, subtracted inside and outside, and who stays by another id: all as the rules read."""
    for seed in range(12):
        rng = random.Random(seed)
        pairs = [(rng.randrange(8), rng.randrange(8)) for _ in range(rng.randrange(1, 14))]
        rows = [f"{user_id(user)},0901000000{tel},x" for user, tel in pairs]
        (tmp_path / "members.csv").write_text("\n".join(["uid,tel,code", *rows, ""]))
        given, refused = ({tel for tel in range(8) if rng.random() < 0.5} for _ in range(2))
        for name, numbers in (("phones", given), ("optout", refused)):
            (tmp_path / f"{name}.txt").write_text("".join(f"0901000000{one}\n" for one in sorted(numbers)))
        inside, outside = LESS, land(leaf(MAPPED), lnot(leaf(Mapped("members", "phone", leaf(OPTOUT)))))

        def people(numbers: set[int], pairs: list[tuple[int, int]] = pairs) -> set[str]:
            return {user_id(user) for user, tel in pairs if tel in numbers}

        used = engine(tmp_path, SHOP)
        found, _ = used.materialise([MAPPED, inside, Mapped("members", "phone", leaf(OPTOUT))], AS_OF)
        assert {*used.members(found.people[MAPPED.key])} == people(given)
        assert {*used.members(found.people[inside.key])} == people(given - refused)
        assert {*used.members(used.evaluate(outside, found.people))} == people(given) - people(refused)
        kept = kept_by_another_id(used, leaf(inside), found, found.people, found.people[inside.key])
        assert sum(one.count for one in kept) == len(people(given - refused) & people(refused))
        assert kept_by_another_id(used, outside, found, found.people, used.evaluate(outside, found.people)) == ()


def test_who_stays_by_another_id_is_counted_where_it_matters(shop: Path) -> None:
    (shop / "phones.txt").write_text("09011111111\n09022222222\n")
    used = engine(shop, SHOP)
    found, _ = used.materialise([LESS, BUYERS], AS_OF)
    kept = kept_by_another_id(used, leaf(LESS), found, found.people, found.people[LESS.key])
    assert kept == (LinkageKept("members", "phone", "user_id", 1),), "A, by the telephone that did not opt out"
    assert kept_by_another_id(used, leaf(LESS), found, found.people, found.people[BUYERS.key]) == ()
    taken_away = land(leaf(BUYERS), lnot(leaf(LESS)))
    result = used.evaluate(taken_away, found.people)
    assert kept_by_another_id(used, taken_away, found, found.people, result) == (), "nobody is reached by it"
    sampled = Mapped("members", "phone", land(leaf(PHONES), lnot(leaf(Bucket("s", 0, 5_000)))))
    found, _ = used.materialise([sampled], AS_OF)
    assert kept_by_another_id(used, leaf(sampled), found, found.people, found.people[sampled.key]) == ()

"""Two states of a project compared by meaning."""

from __future__ import annotations

import pytest

from audsql.meaning import algebra, compare, ir
from audsql.meaning.compare import Change, Comparison, compare_sets
from audsql.meaning.lower import analyse
from audsql.source import Source
from audsql.syntax.parse import parse_file

HEAD = """
account shop { token: env("LINE_TOKEN") }
upload buyers { file: "buyers.txt"  id: user_id }
upload extra { file: "extra.txt"  id: user_id }
table orders { file: "orders.csv"  id: user_id  time: at  verb purchased by product }
message card { text: "hello" }
message other { text: "bye" }
"""


def project(text: str) -> ir.Project:
    file, problems = parse_file(Source("a.aud", text))
    analysis, found = analyse((file,), name="a", timezone="Asia/Tokyo")
    assert not [one for one in (*problems, *found) if one.severity == "error"], (problems, found)
    return analysis.project


def compared(before: str, after: str, *, head: str = HEAD, later_head: str = HEAD) -> Comparison:
    return compare.compare(project(head + before), project(later_head + after))


def classes(found: Comparison) -> dict[str, str]:
    return {change.address: change.classification for change in found.changes}


def only(found: Comparison) -> Change:
    assert len(found.changes) == 1, classes(found)
    return found.changes[0]


def test_an_edit_that_means_the_same_is_no_change() -> None:
    found = compared(
        "audience x = uploaded(buyers) OR purchased(A)",
        "audience x = purchased(A) OR (uploaded(buyers) EXCEPT purchased(A))",
    )
    assert found.changes == () and found.rewritten == ("audience.x",)


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        ("purchased(A)", "purchased(A, last 30 days)", "narrower"),
        ("purchased(A, last 30 days)", "purchased(A, last 31 days)", "wider"),
        ("uploaded(buyers)", "purchased(A)", "overlapping"),
        ("uploaded(buyers)", "purchased(A) EXCEPT uploaded(buyers)", "disjoint"),
    ],
)
def test_regions_and_witnesses(before: str, after: str, kind: str) -> None:
    change = only(compared(f"audience x = {before}", f"audience x = {after}"))
    assert change.classification == kind
    assert change.before is not None and change.after is not None
    for region, person, inside, outside in (
        (change.added, change.entering, change.after, change.before),
        (change.removed, change.leaving, change.before, change.after),
    ):
        assert (region is None) == (person is None) == algebra.within(inside, outside)
        if region is not None and person is not None:
            assert algebra.equal(region, ir.land(inside, ir.lnot(outside)))
            assert ir.evaluate(region, person)


def test_new_and_gone() -> None:
    found = compared("audience x = purchased(A)", "audience y = purchased(B)")
    assert classes(found) == {"audience.x": "removed", "audience.y": "added"}


def test_renamed_and_downstream() -> None:
    found = compared(
        "audience x = purchased(A)\naudience z = x AND uploaded(buyers)",
        "audience x_2 = purchased(A)\naudience z = x_2 AND uploaded(buyers)",
    )
    assert classes(found) == {"audience.x_2": "renamed"}
    assert found.changes[0].old_name == "x"


def test_the_nearest_name_goes_with_its_twin() -> None:
    found = compared(
        "audience sale_a = purchased(A)\naudience winter = purchased(A)",
        "audience sale_aa = purchased(A)\naudience winters = purchased(A)",
    )
    assert {change.name: change.old_name for change in found.changes} == {"sale_aa": "sale_a", "winters": "winter"}


def test_empty_sets_are_not_twins() -> None:
    found = compared(
        "audience x = purchased(A) EXCEPT purchased(*) allow empty",
        "audience y = purchased(A) EXCEPT purchased(*) allow empty",
    )
    assert classes(found) == {"audience.x": "removed", "audience.y": "added"}


def test_a_declared_move_goes_first() -> None:
    found = compared("audience x = purchased(A)", "audience y = purchased(A, last 30 days)\nmoved x -> y")
    change = only(found)
    assert (change.classification, change.name, change.old_name) == ("narrower", "y", "x")


def test_a_renamed_source_is_the_same_people() -> None:
    found = compared(
        "audience x = uploaded(buyers)",
        "audience x = uploaded(customers)",
        later_head=HEAD.replace("upload buyers", "upload customers"),
    )
    assert classes(found) == {"upload.customers": "renamed"} and found.rewritten == ("audience.x",)


def test_a_source_with_another_file_is_a_change_of_its_own() -> None:
    found = compared(
        "audience x = uploaded(buyers)",
        "audience x = uploaded(buyers)",
        later_head=HEAD.replace("buyers.txt", "customers.txt"),
    )
    change = only(found)
    assert (change.address, change.classification, change.fields) == ("upload.buyers", "metadata-only", ("file",))


DELIVERY = "delivery d { to: purchased(A)  send: card  at: 2030-01-01 10:00 }"


@pytest.mark.parametrize(
    ("old", "new", "fields"),
    [
        ("send: card", "send: other", ("messages",)),
        ("10:00", "11:00", ("at",)),
        ("send: card", "send: card  limit: 10", ("limit",)),
        ("send: card", "send: card  expect: 1..10 people", ("expect",)),
        ("send: card", "send: card  notification: off", ("notification",)),
    ],
)
def test_other_settings(old: str, new: str, fields: tuple[str, ...]) -> None:
    change = only(compared(DELIVERY, DELIVERY.replace(old, new)))
    assert (change.classification, change.fields) == ("metadata-only", fields)


def test_a_delivery_is_renamed_only_with_its_message_and_time() -> None:
    assert classes(compared(DELIVERY, DELIVERY.replace("delivery d", "delivery e"))) == {"delivery.e": "renamed"}
    later = DELIVERY.replace("delivery d", "delivery e").replace("10:00", "11:00")
    assert classes(compared(DELIVERY, later)) == {"delivery.d": "removed", "delivery.e": "added"}


def test_a_renamed_delivery_is_followed_into_who_clicked_it() -> None:
    later = "audience x = clicked(d)\n" + DELIVERY
    found = compared(later, later.replace("delivery d", "delivery e").replace("clicked(d)", "clicked(e)"))
    assert classes(found) == {"delivery.e": "renamed"} and found.rewritten == ("audience.x",)


def test_a_policy_changes_every_delivery_that_it_holds_for() -> None:
    policy = "policy kind { always except uploaded(buyers) }\n"
    found = compared(DELIVERY, policy + DELIVERY)
    assert classes(found) == {"policy.kind": "added", "delivery.d": "narrower"}
    assert found.changes[1].because == ("policy.kind",)
    back = compared(policy + DELIVERY, DELIVERY)
    assert classes(back) == {"policy.kind": "removed", "delivery.d": "wider"}
    assert back.changes[1].because == ("policy.kind",)


def test_causes_go_through_what_lies_between() -> None:
    text = "audience x = purchased({})\naudience y = x AND uploaded(buyers)\naudience z = y OR uploaded(extra)"
    found = compared(text.format("A"), text.format("A, last 30 days"))
    assert {change.name: change.because for change in found.changes} == {
        "x": (),
        "y": ("audience.x",),
        "z": ("audience.x",),
    }


def test_arms_of_a_split() -> None:
    text = 'split s of uploaded(buyers) {{ a {}%, b {}% }} salt "1"'
    found = compared(text.format(50, 50), text.format(60, 40))
    assert classes(found) == {"split.s": "metadata-only", "arm.s.a": "wider", "arm.s.b": "narrower"}
    assert {change.because for change in found.changes[1:]} == {("split.s",)}


def test_sets_alone() -> None:
    a, b = ir.leaf(ir.Uploaded("a")), ir.leaf(ir.Uploaded("b"))
    found = compare_sets({"x": a, "y": b, "same": a}, {"x": ir.land(a, b), "z": b, "same": ir.land(a, ir.lor(a, b))})
    assert [(change.name, change.classification) for change in found] == [("x", "narrower"), ("z", "renamed")]
    everything = compare_sets({"same": a}, {"same": a}, everything=True)
    assert [change.classification for change in everything] == ["equal"]


def test_what_is_the_same_is_never_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the same key is the same set")

    monkeypatch.setattr(compare, "relation", refuse)
    monkeypatch.setattr(compare, "minimal", refuse)
    sets = {f"x{number}": ir.leaf(ir.Uploaded(f"u{number}")) for number in range(10_000)}
    assert compare_sets(sets, dict(sets)) == ()


def test_what_is_too_large_is_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    def undecided(*_: object) -> None:
        raise algebra.Undecided(40, 100)

    monkeypatch.setattr(compare, "relation", undecided)
    change = only(compared("audience x = purchased(A)", "audience x = purchased(B)"))
    assert change.classification == "undecided" and change.added is None

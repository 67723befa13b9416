"""Cases by hand: the shapes that marketers write, and what LINE should get."""

from __future__ import annotations

import pytest
from compile_make import (
    FRIENDS,
    attribute,
    clicked,
    compiled,
    delivery,
    less,
    opened,
    project,
    purchased,
    received,
    refused,
    sent,
    tag,
    uploaded,
)

from audsql.compile.bind import without_empty
from audsql.compile.bounds import bounds
from audsql.compile.program import (
    AgeBetween,
    AllFilters,
    AllOf,
    AnyFilter,
    AnyOf,
    AudienceLeaf,
    Broadcast,
    FriendForBetween,
    GenderIn,
    Multicast,
    Narrowcast,
    NoneOf,
    NotFilter,
    RedeliveryLeaf,
    recipient_leaves,
)
from audsql.compile.project import compile_delivery, compile_project
from audsql.line.limits import AGE_TIERS
from audsql.meaning import ir
from audsql.meaning.words import to_words

FEMALE = attribute("gender", "female")
TOKYO = attribute("area", "jp_13")
OPTOUT = uploaded("optout")
FOUNDING = less(ir.land(clicked("msg42"), purchased("A")), uploaded("buyers"))


@pytest.mark.rule("line.narrowcast.unfiltered")
def test_the_founding_sentence_is_one_upload_one_click_one_send_two_leaves() -> None:
    done, program = compiled(less(FOUNDING, OPTOUT))
    (send,) = done.sends
    assert isinstance(send, Narrowcast)
    assert send.filter is None and not send.everybody
    assert isinstance(send.recipient, AllOf) and len(recipient_leaves(send.recipient)) == 2
    (upload,) = program.uploads
    assert not upload.negated
    assert upload.expression == less(purchased("A"), uploaded("buyers"), OPTOUT)
    assert send.bound == upload.expression
    (audience,) = program.audiences
    assert (audience.kind, audience.delivery, audience.url, audience.part) == ("CLICK", "msg42", None, 0)
    assert done.uploads == (upload.key,) and done.audiences == (audience.key,)
    assert done.waits_for == ()


def test_an_or_with_an_attribute_is_two_sends_split_on_recipients() -> None:
    done, program = compiled(less(ir.lor(clicked("msg42"), FEMALE), OPTOUT))
    first, second = done.sends
    assert isinstance(first, Narrowcast) and isinstance(second, Narrowcast)
    assert first.filter is None and second.filter == GenderIn(("female",))
    assert len(program.uploads) == 1 and program.uploads[0].negated
    assert first.bound is None and second.bound is None


def test_two_pairs_are_at_most_three_sends_and_two_uploads() -> None:
    pairs = ir.lor(ir.land(clicked("msg42"), FEMALE), ir.land(purchased("A"), TOKYO))
    done, program = compiled(less(pairs, OPTOUT))
    assert len(done.sends) <= 3 and len(program.uploads) == 2


@pytest.mark.rule("line.recipient.top_not")
def test_friends_except_a_list_is_one_send_with_not() -> None:
    done, program = compiled(less(FRIENDS, uploaded("buyers")))
    (send,) = done.sends
    (upload,) = program.uploads
    assert isinstance(send, Narrowcast)
    assert send.recipient == NoneOf(AudienceLeaf(upload.key)) and send.filter is None
    assert upload.expression == uploaded("buyers") and upload.negated
    assert send.bound is None and not send.everybody


def test_friends_alone_is_everybody() -> None:
    done, _ = compiled(FRIENDS, is_friends=True)
    assert done.sends == (Narrowcast(0, None, None, FRIENDS, None, everybody=True),)


def test_attributes_alone_are_a_filter_alone() -> None:
    done, program = compiled(ir.land(FEMALE, attribute("age", "age_30", "age_35")))
    (send,) = done.sends
    assert isinstance(send, Narrowcast) and send.recipient is None and not send.everybody
    assert send.filter == AllFilters((AgeBetween("age_30", "age_40"), GenderIn(("female",))))
    assert not program.uploads


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (attribute("age", "age_0"), AgeBetween(None, "age_15")),
        (attribute("age", "age_65", "age_70"), AgeBetween("age_65", None)),
        (attribute("friend_for", "day_0", "day_7"), FriendForBetween(None, "day_30")),
        (attribute("friend_for", "day_365"), FriendForBetween("day_365", None)),
        (attribute("gender", "female", "male"), GenderIn(("female", "male"))),
    ],
)
def test_values_of_a_family_join(expression: ir.Expression, expected: object) -> None:
    done, _ = compiled(expression)
    assert isinstance(done.sends[0], Narrowcast) and done.sends[0].filter == expected


def _ages(first: int, after: int) -> ir.Expression:
    return attribute("age", *(f"age_{tier}" for tier in AGE_TIERS if first <= tier < after))


@pytest.mark.parametrize(
    ("terms", "filters"),
    [
        (
            [_ages(20, 40), _ages(40, 60)],
            {AgeBetween("age_20", "age_40"), AgeBetween("age_40", "age_60")},
        ),
        (
            [_ages(0, 30), _ages(30, 50), _ages(50, 80)],
            {AgeBetween(None, "age_30"), AgeBetween("age_30", "age_50"), AgeBetween("age_50", None)},
        ),
        (
            [_ages(20, 40), ir.lnot(_ages(20, 40))],
            {AgeBetween("age_20", "age_40"), NotFilter(AgeBetween("age_20", "age_40"))},
        ),
        (
            [ir.lor(_ages(20, 30), _ages(40, 50)), _ages(30, 40), _ages(20, 50)],
            {
                AgeBetween("age_30", "age_40"),
                AnyFilter((AgeBetween("age_20", "age_30"), AgeBetween("age_40", "age_50"))),
            },
        ),
    ],
)
def test_lists_with_exclusive_ages_share_filters(terms: list[ir.Expression], filters: set[object]) -> None:
    """One list for each: fewer sends than the lists can be combined, and neighbouring tiers are one range in each."""
    reach = ir.lor(*(ir.land(uploaded(f"u{at}"), one) for at, one in enumerate(terms)))
    done, _ = compiled(reach)
    assert {send.filter for send in done.sends if isinstance(send, Narrowcast)} == filters
    assert len(done.sends) == len(filters)


def test_a_written_not_stays_one_object() -> None:
    done, _ = compiled(less(clicked("msg42"), attribute("age", "age_30", "age_35")))
    (send,) = done.sends
    assert isinstance(send, Narrowcast) and send.filter == NotFilter(AgeBetween("age_30", "age_40"))


def test_equal_functions_are_one_upload_whatever_their_words() -> None:
    left = ir.lor(uploaded("a"), ir.land(uploaded("a"), uploaded("b")))
    one = delivery("one", ir.land(clicked("m"), left))
    two = delivery("two", ir.land(opened("m"), uploaded("a")))
    program, problems = compile_project(project(sent("m"), one, two))
    assert not problems
    assert len(program.uploads) == 1 and program.uploads[0].expression == uploaded("a")


def test_a_narrower_window_within_a_wider_one_is_simplified() -> None:
    done, program = compiled(ir.land(clicked("m"), purchased("A", 30), purchased("A")))
    assert program.uploads[0].expression == purchased("A", 30)
    assert len(done.sends) == 1


def test_three_behaviours_take_two_uploads() -> None:
    reach = ir.lor(ir.land(clicked("m"), uploaded("a")), ir.land(opened("m"), uploaded("b")))
    done, program = compiled(reach)
    assert len(program.uploads) == 2 and len(done.sends) == 1
    assert isinstance(done.sends[0], Narrowcast) and len(recipient_leaves(done.sends[0].recipient)) <= 5


def test_receipts_of_a_delivery_in_parts_are_any_of_them() -> None:
    first = delivery("first", ir.lor(clicked("m"), FEMALE))
    second = delivery("second", less(ir.land(clicked("first"), uploaded("a")), received("first")))
    program, problems = compile_project(project(sent("m"), first, second))
    assert not problems
    done = program.deliveries[1]
    assert done.waits_for == ("first",)
    (send,) = done.sends
    assert isinstance(send, Narrowcast) and isinstance(send.recipient, AllOf)
    assert NoneOf(AnyOf((RedeliveryLeaf("first", 0), RedeliveryLeaf("first", 1)))) in send.recipient.operands
    assert [(a.delivery, a.part) for a in program.audiences if a.delivery == "first"] == [("first", 0), ("first", 1)]


@pytest.mark.rule("line.broadcast.everybody")
def test_a_broadcast_is_to_friends_and_nothing_less() -> None:
    done, _ = compiled(FRIENDS, by="broadcast", is_friends=True)
    assert done.sends == (Broadcast(0),)
    problem = refused(less(FRIENDS, OPTOUT), by="broadcast", is_friends=True)
    assert problem.code == "AUD0356"
    assert refused(clicked("m"), by="broadcast").code == "AUD0354"


def test_a_multicast_lists_its_members() -> None:
    done, _ = compiled(less(uploaded("a"), OPTOUT), by="multicast")
    assert done.sends == (Multicast(0, less(uploaded("a"), OPTOUT)),)
    done, _ = compiled(ir.land(uploaded("a"), FRIENDS), by="multicast")
    assert done.sends == (Multicast(0, uploaded("a")),)


@pytest.mark.parametrize(
    ("reach", "atom"),
    [
        (FOUNDING, "clicked(msg42)"),
        (less(FRIENDS, OPTOUT), "friends"),
        (ir.land(uploaded("a"), FEMALE), "gender(female)"),
    ],
)
def test_a_multicast_names_the_atom_that_cannot_be_listed(reach: ir.Expression, atom: str) -> None:
    problem = refused(reach, by="multicast")
    assert (problem.code, problem.fact("atom")) == ("AUD0355", atom)


def test_push_goes_to_people_who_are_listed() -> None:
    assert [send.kind for send in compiled(uploaded("a"), by="push")[0].sends] == ["push"]
    assert refused(ir.land(uploaded("a"), FEMALE), by="push").code == "AUD0355"


def test_limits_are_refused_where_they_cannot_hold() -> None:
    problem = refused(ir.lor(clicked("m"), FEMALE), limit=100)
    assert (problem.code, problem.fact("sends")) == ("AUD0408", 2)
    assert refused(uploaded("a"), by="multicast", limit=5).code == "AUD0409"
    assert refused(ir.lor(FRIENDS, uploaded("a"))).code == "AUD0411"


@pytest.mark.rule("line.recipient.leaves")
def test_eleven_tags_are_one_leaf_too_many() -> None:
    assert len(compiled(ir.land(*(tag(f"t{i}") for i in range(10))))[0].sends) == 1
    problem = refused(ir.land(*(tag(f"t{i}") for i in range(11))))
    assert problem.code == "AUD0401"
    assert (problem.fact("needed"), problem.fact("limit")) == (11, 10)
    assert str(problem.fact("expression")).count("chat_tag(") == 11


@pytest.mark.rule("line.demographic.leaves")
def test_eleven_filter_objects_are_one_too_many() -> None:
    ages = ("age_15", "age_25", "age_35", "age_45", "age_55", "age_65")
    terms = [ir.land(attribute("age", age), attribute("area", f"jp_{i + 10}")) for i, age in enumerate(ages)]
    problem = refused(ir.land(clicked("m"), ir.lor(*terms)))
    assert (problem.code, problem.fact("needed")) == ("AUD0402", 12)


def test_too_many_sends_are_refused() -> None:
    terms = [ir.land(uploaded(f"u{i}"), attribute("area", f"jp_{i + 10}")) for i in range(6)]
    problem = refused(ir.lor(*terms))
    assert (problem.code, problem.fact("sends")) == ("AUD0403", 63)


def test_too_many_atoms_are_refused() -> None:
    problem = refused(ir.land(clicked("m"), ir.lor(*(uploaded(f"u{i}") for i in range(300)))))
    assert problem.code == "AUD0404"


@pytest.mark.scenario(39)
def test_a_cycle_names_its_path_and_a_diamond_is_none() -> None:
    deliveries = [delivery("a", clicked("b")), delivery("b", clicked("c")), delivery("c", clicked("a"))]
    program, problems = compile_project(project(*deliveries, delivery("d", uploaded("x"))))
    (problem,) = problems
    assert (problem.code, problem.fact("path")) == ("AUD0210", "a -> b -> c -> a")
    assert [done.name for done in program.deliveries] == ["d"]
    diamond = [
        delivery("a", uploaded("x")),
        delivery("b", clicked("a")),
        delivery("c", opened("a")),
        delivery("d", ir.lor(clicked("b"), clicked("c"))),
    ]
    program, problems = compile_project(project(*diamond))
    assert not problems and program.deliveries[3].waits_for == ("b", "c")


def test_twenty_own_atoms_and_three_line_atoms_compile() -> None:
    def block(start: int) -> ir.Expression:
        parts = [uploaded(f"u{i:02}") for i in range(start, start + 6)]
        return less(ir.lor(ir.land(parts[0], parts[1]), ir.land(parts[2], parts[3])), parts[4], parts[5])

    reach = less(
        ir.lor(ir.land(clicked("m"), block(0)), ir.land(opened("m"), block(6)), ir.land(tag("vip"), block(12))),
        uploaded("u18"),
        uploaded("u19"),
    )
    done, program = compiled(reach)
    assert len(done.sends) == 1 and len(program.uploads) == 3


def test_many_own_atoms_with_one_line_atom_are_one_upload() -> None:
    many = ir.lor(*(uploaded(f"u{i:03}") for i in range(200)))
    done, program = compiled(less(ir.land(clicked("m"), many), OPTOUT))
    assert program.uploads[0].expression == less(many, OPTOUT)
    assert len(done.sends) == 1


def test_one_delivery_compiles_alone() -> None:
    one = delivery("one", FOUNDING)
    done, problems = compile_delivery(one, project(sent("msg42"), one))
    assert done is not None and not problems
    assert [upload.label for upload in done.uploads] == ["purchased(A) EXCEPT uploaded(buyers)"]


def test_the_same_project_gives_the_same_program() -> None:
    pairs = less(ir.lor(ir.land(clicked("m"), FEMALE), ir.land(purchased("A"), TOKYO)), OPTOUT)
    assert repr(compiled(pairs)) == repr(compiled(pairs))


@pytest.mark.parametrize(
    ("expression", "low", "high"),
    [
        (FOUNDING, ir.NOBODY, less(purchased("A"), uploaded("buyers"))),
        (uploaded("a"), uploaded("a"), uploaded("a")),
        (ir.lor(uploaded("a"), clicked("m")), uploaded("a"), None),
        (ir.land(uploaded("a"), ir.lor(FEMALE, uploaded("b"))), ir.land(uploaded("a"), uploaded("b")), uploaded("a")),
        (ir.land(uploaded("a"), ir.lor(FEMALE, ir.lnot(FEMALE))), uploaded("a"), uploaded("a")),
        (less(FRIENDS, uploaded("a")), ir.NOBODY, None),
        (clicked("m"), ir.NOBODY, None),
        (ir.lor(ir.lnot(uploaded("a")), uploaded("b")), uploaded("b"), None),
    ],
)
def test_bounds(expression: ir.Expression, low: ir.Expression, high: ir.Expression | None) -> None:
    found_low, found_high = bounds(expression)
    assert to_words(found_low) == to_words(low)
    assert found_high == high


def test_a_tree_that_is_too_wide_is_split_on_an_atom() -> None:
    left = ir.land(tag("a"), ir.lor(*(tag(f"b{i}") for i in range(5))))
    right = less(ir.lor(*(tag(f"c{i}") for i in range(5))), tag("a"))
    done, _ = compiled(ir.lor(left, right))
    leaves = [len(recipient_leaves(send.recipient)) for send in done.sends if isinstance(send, Narrowcast)]
    assert leaves == [6, 7]
    assert NoneOf(RedeliveryLeaf("sale", 0)) in done.sends[1].recipient.operands  # type: ignore[union-attr]


def test_what_was_never_sent_is_dropped_from_a_tree() -> None:
    first = delivery("first", ir.lor(clicked("m"), FEMALE))
    second = delivery("second", less(uploaded("a"), received("first")))
    program, problems = compile_project(project(sent("m"), first, second))
    assert not problems
    (upload,) = program.uploads
    bound = without_empty(program.deliveries[1], program, frozenset({"redelivery(first; 0)"}))
    (send,) = bound.sends
    assert isinstance(send, Narrowcast)
    assert send.recipient == AllOf((AudienceLeaf(upload.key), NoneOf(RedeliveryLeaf("first", 1))))
    assert without_empty(bound, program, frozenset({upload.key})).sends == ()


def test_friends_except_an_empty_list_is_everybody() -> None:
    done, program = compiled(less(FRIENDS, uploaded("buyers")))
    bound = without_empty(done, program, frozenset(done.uploads))
    (send,) = bound.sends
    assert isinstance(send, Narrowcast) and send.everybody and send.recipient is None and bound.uploads == ()

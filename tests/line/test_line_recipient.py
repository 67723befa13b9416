"""Bodies of sends: LINE's grammar holds for whatever the compiler gives (threats T30, T34)."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from audsql.compile.program import (
    AgeBetween,
    AllFilters,
    AllOf,
    AnyFilter,
    AnyOf,
    AreaIn,
    AudienceLeaf,
    Filter,
    FriendForBetween,
    GenderIn,
    NoneOf,
    NotFilter,
    OsIn,
    Recipient,
    RedeliveryLeaf,
    filter_leaves,
    recipient_leaves,
)
from audsql.line import limits
from audsql.line.recipient import (
    GrammarError,
    Limit,
    broadcast_body,
    canonical_json,
    everybody_body,
    filter_json,
    filter_only_body,
    multicast_body,
    narrowcast_body,
    push_body,
    recipient_json,
)

# The first draw of a text loads the tables of Unicode, which is slow on a busy machine.
CALM = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=150)
TEXT = [{"type": "text", "text": "こんにちは"}]
IDS = {f"k{number}": 100 + number for number in range(6)}
REQUESTS = {("d", 0): "bb97", ("d", 1): "cc42"}

LEAVES = st.sampled_from(sorted(IDS)).map(AudienceLeaf) | st.sampled_from((0, 1)).map(lambda n: RedeliveryLeaf("d", n))
RECIPIENTS = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=4).map(lambda some: AllOf(tuple(some)))
        | st.lists(inner, min_size=1, max_size=4).map(lambda some: AnyOf(tuple(some)))
        | inner.map(NoneOf)
    ),
    max_leaves=12,
)


def _span(codes: tuple[str, ...], kind: type) -> st.SearchStrategy[Filter]:
    bounds = st.tuples(st.none() | st.integers(0, len(codes) - 1), st.none() | st.integers(0, len(codes) - 1))
    good = bounds.filter(lambda b: b != (None, None) and (None in b or b[0] < b[1]))
    return good.map(lambda b: kind(*(None if at is None else codes[at] for at in b)))


FILTERS = st.recursive(
    st.sampled_from(limits.GENDERS).map(lambda value: GenderIn((value,)))
    | st.sampled_from(limits.OSES).map(lambda value: OsIn((value,)))
    | st.lists(st.sampled_from(sorted(limits.AREAS)), min_size=1, max_size=4, unique=True).map(
        lambda values: AreaIn(tuple(values))
    )
    | _span(limits.AGE_CODES, AgeBetween)
    | _span(limits.FRIEND_FOR_CODES, FriendForBetween),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=4).map(lambda some: AllFilters(tuple(some)))
        | st.lists(inner, min_size=1, max_size=4).map(lambda some: AnyFilter(tuple(some)))
        | inner.map(NotFilter)
    ),
    max_leaves=12,
)


def grammatical(node: object, leaf_types: set[str]) -> int:
    """The leaves of a tree that follows LINE's grammar; an independent reading of specs/line.md."""
    assert isinstance(node, dict)
    if node["type"] != "operator":
        assert node["type"] in leaf_types
        return 1
    operators = [key for key in node if key != "type"]
    assert len(operators) == 1
    inner = node[operators[0]]
    if operators[0] == "not":
        return grammatical(inner, leaf_types)
    assert operators[0] in ("and", "or")
    assert isinstance(inner, list)
    assert inner
    return sum(grammatical(operand, leaf_types) for operand in inner)


def people(node: dict, members: dict[object, frozenset[int]], world: frozenset[int]) -> frozenset[int]:
    if node["type"] == "audience":
        return members[node["audienceGroupId"]]
    if node["type"] == "redelivery":
        return members[node["requestId"]]
    if "not" in node:
        return world - people(node["not"], members, world)
    sets = [people(operand, members, world) for operand in node.get("and", node.get("or"))]
    return frozenset.intersection(*sets) if "and" in node else frozenset.union(*sets)


def meaning(tree: Recipient, members: dict[object, frozenset[int]], world: frozenset[int]) -> frozenset[int]:
    match tree:
        case AudienceLeaf(key):
            return members[IDS[key]]
        case RedeliveryLeaf(delivery, part):
            return members[REQUESTS[delivery, part]]
        case NoneOf(operand):
            return world - meaning(operand, members, world)
        case AllOf(operands):
            return frozenset.intersection(*(meaning(operand, members, world) for operand in operands))
        case AnyOf(operands):
            return frozenset.union(*(meaning(operand, members, world) for operand in operands))


@CALM
@given(RECIPIENTS, st.lists(st.frozensets(st.integers(0, 7)), min_size=8, max_size=8))
@pytest.mark.rule(
    "line.recipient.one_operator",
    "line.recipient.lists",
    "line.recipient.not_single",
    "line.recipient.leaves",
    "line.recipient.depth",
)
def test_a_recipient_keeps_the_grammar_and_its_meaning(tree: Recipient, sets: list[frozenset[int]]) -> None:
    if len(recipient_leaves(tree)) > limits.RECIPIENT_LEAVES_MAX:
        with pytest.raises(GrammarError):
            recipient_json(tree, IDS, REQUESTS)
        return
    value = recipient_json(tree, IDS, REQUESTS)
    assert grammatical(value, {"audience", "redelivery"}) == len(recipient_leaves(tree))
    world = frozenset(range(8))
    members = dict(zip([*IDS.values(), *REQUESTS.values()], sets, strict=True))
    assert people(value, members, world) == meaning(tree, members, world)


@CALM
@given(FILTERS)
@pytest.mark.rule("line.demographic.grammar")
def test_a_filter_keeps_the_grammar(tree: Filter) -> None:
    assume(filter_leaves(tree) <= limits.FILTER_LEAVES_MAX)
    value = filter_json(tree)
    kinds = {"gender", "age", "appType", "area", "subscriptionPeriod"}
    assert grammatical(value, kinds) == filter_leaves(tree)


@pytest.mark.parametrize(
    "tree",
    [AllOf(()), AnyOf(()), AllOf((AnyOf(()),)), AudienceLeaf("nowhere"), RedeliveryLeaf("d", 9)],
)
def test_a_recipient_without_a_meaning_in_line_is_refused(tree: Recipient) -> None:
    with pytest.raises(GrammarError):
        recipient_json(tree, IDS, REQUESTS)


@pytest.mark.parametrize(
    "tree",
    [
        AllFilters(()),
        GenderIn(()),
        GenderIn(("other",)),
        AreaIn(("jp_99",)),
        AreaIn(("id_01",)),
        AgeBetween(None, None),
        AgeBetween("age_30", "age_20"),
        AgeBetween("age_30", "age_30"),
        AgeBetween("age_32", None),
        FriendForBetween("day_8", None),
        AnyFilter(tuple(GenderIn(("male",)) for _ in range(11))),
    ],
)
@pytest.mark.rule("line.demographic.leaves", "line.demographic.values", "line.demographic.tiers")
def test_a_filter_without_a_meaning_in_line_is_refused(tree: Filter) -> None:
    with pytest.raises(GrammarError):
        filter_json(tree)


RAW_RECIPIENTS = [
    {},
    {"type": "audience"},
    {"type": "audience", "audienceGroupId": "5"},
    {"type": "audience", "audienceGroupId": True},
    {"type": "audience", "audienceGroupId": 5, "extra": 1},
    {"type": "redelivery", "requestId": ""},
    {"type": "operator"},
    {"type": "operator", "and": []},
    {"type": "operator", "and": [], "or": []},
    {"type": "operator", "not": [{"type": "audience", "audienceGroupId": 5}]},
    {"type": "operator", "and": [{"type": "audience", "audienceGroupId": 5}], "not": {}},
]


@pytest.mark.parametrize("recipient", RAW_RECIPIENTS, ids=repr)
@pytest.mark.rule("line.recipient.one_operator", "line.recipient.lists", "line.recipient.not_single")
@pytest.mark.threat("T30")
def test_a_body_with_a_broken_recipient_is_never_built(recipient: dict[str, object]) -> None:
    with pytest.raises(GrammarError):
        narrowcast_body(recipient, None, TEXT, Limit(10))


@pytest.mark.rule("line.narrowcast.everybody", "line.limit.max")
@pytest.mark.threat("T30", "T34")
def test_no_builder_forgets_recipient_or_limit() -> None:
    audience = {"type": "audience", "audienceGroupId": 5}
    gender = {"type": "gender", "oneOf": ["female"]}
    both = json.loads(narrowcast_body(audience, gender, TEXT, Limit(70)))
    assert both == {
        "recipient": audience,
        "filter": {"demographic": gender},
        "limit": {"max": 70, "upToRemainingQuota": True, "forbidPartialDelivery": True},
        "messages": TEXT,
    }
    alone = json.loads(filter_only_body(gender, TEXT, Limit(70, False, False), notification_disabled=True))
    assert alone["filter"] == {"demographic": gender}
    assert alone["limit"] == {"max": 70}
    assert alone["notificationDisabled"] is True
    assert "recipient" not in alone
    assert set(json.loads(everybody_body(TEXT, Limit(9)))) == {"limit", "messages"}
    assert set(json.loads(broadcast_body(TEXT))) == {"messages"}


@pytest.mark.rule("line.limit.max", "line.limit.pair")
def test_a_limit_that_line_refuses_cannot_be_made() -> None:
    for arguments in ((0, True, True), (5, False, True)):
        with pytest.raises(GrammarError):
            Limit(*arguments)
    with pytest.raises(GrammarError):
        everybody_body(TEXT, Limit(None, False, False))


@pytest.mark.rule("line.multicast.people", "line.multicast.repeated", "line.unit.name", "line.audience.id_form")
def test_listed_people_are_checked() -> None:
    people_ids = [f"U{number:032x}" for number in range(501)]
    assert json.loads(multicast_body(people_ids[:500], TEXT, unit="sale_1"))["customAggregationUnits"] == ["sale_1"]
    assert json.loads(push_body(people_ids[0], TEXT))["to"] == people_ids[0]
    for wrong in (people_ids, [], [people_ids[0]] * 2, ["U12"], ["C" + "0" * 32]):
        with pytest.raises(GrammarError) as caught:
            multicast_body(wrong, TEXT)
        assert "U0" not in str(caught.value)
    for unit in ("a-b", "", "x" * 31, "é"):
        with pytest.raises(GrammarError):
            multicast_body(people_ids[:1], TEXT, unit=unit)
    with pytest.raises(GrammarError):
        push_body("nobody", TEXT)


@pytest.mark.parametrize("messages", [[], TEXT * 6])
@pytest.mark.rule("line.narrowcast.messages")
def test_a_send_has_one_to_five_messages(messages: list[dict[str, str]]) -> None:
    with pytest.raises(GrammarError):
        broadcast_body(messages)


def test_equal_values_give_equal_bytes() -> None:
    assert canonical_json({"b": 1, "a": "あ"}) == canonical_json({"a": "あ", "b": 1}) == '{"a":"あ","b":1}'.encode()

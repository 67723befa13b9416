"""Any trees at all, also those that no text makes: analysis tells what is wrong and never raises."""

from __future__ import annotations

from decimal import Decimal
from functools import cache

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audsql import testing
from audsql.meaning.lower import analyse
from audsql.meaning.names import BUILT_IN
from audsql.source import Span
from audsql.syntax import ast

WORDS = st.sampled_from(["a", "b", "c", "friends", "user_id", "phone", "女", "jp_13", "female", "", *BUILT_IN])
KEYS = [
    "token", "file", "id", "time", "to", "send", "at", "by", "sent", "limit", "expect", "account", "text", "x", "every",
    "from", "until", "catch_up", "fresh", "template", "coupon", "table",
]  # fmt: skip
spans = st.integers(0, 900).map(lambda start: Span("a.aud", start, start + 3))
names = st.builds(ast.Name, WORDS, span=spans)
numbers = st.builds(ast.Number, st.sampled_from([Decimal(0), Decimal(-1), Decimal("30.5"), Decimal(30), Decimal(39)]))
dates = st.builds(
    ast.DateTime,
    st.sampled_from([0, 1, 2026, 9999]),
    st.sampled_from([0, 2, 12, 13]),
    st.sampled_from([0, 1, 30, 31]),
    st.none() | st.sampled_from([0, 23, 24]),
    st.none() | st.sampled_from([0, 59, 60]),
    st.none() | st.sampled_from([0, 540, -2000]),
)
durations = st.builds(ast.Duration, st.integers(0, 400), st.sampled_from(["minute", "hour", "day", "week"]))
ends = st.none() | numbers | durations
simple = st.one_of(
    st.builds(ast.Word, WORDS, span=spans),
    st.builds(ast.Text, WORDS, span=spans),
    numbers,
    dates,
    durations,
    st.builds(ast.Percent, st.just(Decimal(10))),
    st.builds(ast.TimeOfDay, st.just(9), st.just(0)),
    st.builds(ast.Range, ends, ends, span=spans),
    st.builds(ast.Star, span=spans),
    st.builds(ast.Environment, st.just("X")),
)
values = simple | st.builds(ast.ListValue, st.lists(simple, max_size=3).map(tuple))
OPERATORS = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
conditions = st.one_of(
    st.builds(ast.CompareCondition, names, OPERATORS, values, span=spans),
    st.builds(ast.InCondition, names, st.lists(values, min_size=1, max_size=3).map(tuple), span=spans),
    st.builds(ast.MissingCondition, names, st.booleans(), span=spans),
    st.builds(ast.LastCondition, durations, span=spans),
    st.builds(ast.SinceCondition, dates, span=spans),
    st.builds(ast.BeforeCondition, dates, span=spans),
    st.builds(ast.TimesCondition, st.sampled_from(["at least", "at most", "exactly"]), st.integers(0, 3), span=spans),
    st.builds(
        ast.AggregateCondition, st.sampled_from(["sum", "avg", "min", "max"]), names, OPERATORS, values, span=spans
    ),
    st.builds(ast.LatestCondition, names, OPERATORS, values, span=spans),
    st.builds(ast.ThresholdCondition, OPERATORS, values, span=spans),
)
arguments = st.builds(
    ast.Arguments, st.lists(values, max_size=2).map(tuple), st.lists(conditions, max_size=2).map(tuple)
)
leaves = st.builds(ast.Reference, names, st.none() | names, span=spans) | st.builds(
    ast.Call, names, arguments, span=spans
)


def _chain(operands: list[ast.Expression], operators: list[ast.BooleanOperator]) -> ast.Chain:
    return ast.Chain(tuple(operands), tuple(operators[: len(operands) - 1]), span=operands[0].span)


def _shared(call: str, subject: ast.Expression, value: ast.Value, key: ast.Name, seed: ast.Value) -> ast.Call:
    """A call with a set in front; `seed` by its right name where the key is a short one."""
    named = (ast.Name("seed") if len(key.text) == 1 else key, seed)
    return ast.Call(ast.Name(call), ast.Arguments((value,), (), subject, (named,)), span=subject.span)


expressions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(ast.Not, inner, span=spans),
        st.builds(ast.Paren, inner, span=spans),
        st.builds(_shared, st.sampled_from(["sample", "lookalike", "clicked"]), inner, values, names, values),
        st.builds(
            _chain,
            st.lists(inner, min_size=2, max_size=3),
            st.lists(st.sampled_from(["AND", "OR", "EXCEPT"]), min_size=2, max_size=2),
        ),
    ),
    max_leaves=4,
)
ids = st.lists(st.builds(ast.IdColumn, names, st.none() | names, span=spans), max_size=2).map(tuple)
entry_values = st.one_of(
    values,
    expressions,
    ids,
    st.lists(simple, max_size=6).map(tuple),
    st.builds(ast.PeopleRange, st.none() | st.integers(0, 9), st.none() | st.integers(0, 9)),
)


def _of_the_whole_language() -> st.SearchStrategy[ast.Statement]:
    """Splits, priorities, names that went, and flows."""
    words = st.builds(ast.Word, WORDS, span=spans)
    texts = st.builds(ast.Text, WORDS, span=spans)
    shares = st.builds(ast.Percent, st.sampled_from([Decimal(0), Decimal(50), Decimal(100), Decimal("0.001")]))
    arms = st.lists(st.builds(ast.Arm, names, shares | words, span=spans), max_size=3).map(tuple)
    sends = st.builds(ast.SendStep, st.lists(words | texts, max_size=6).map(tuple), span=spans)
    waits = st.builds(ast.WaitFor, durations | words, span=spans)
    times = st.builds(ast.WaitUntil, st.builds(ast.TimeOfDay, st.just(9), st.just(0)) | words, span=spans)
    plain = st.lists(sends | waits | times, max_size=2).map(tuple)
    branches = st.builds(
        ast.Branch, st.lists(st.builds(ast.BranchArm, st.none() | expressions, plain), max_size=3).map(tuple)
    )
    items = st.one_of(
        st.builds(ast.StartWhen, expressions, span=spans),
        st.builds(ast.StartOnFollow, st.none() | texts | words, span=spans),
        st.builds(ast.TriggerOn, names, span=spans),
        st.builds(ast.ExitWhen, expressions, span=spans),
        st.builds(ast.Reentry, st.sampled_from(["never", "always"]) | durations | words, span=spans),
        st.builds(ast.Entry, st.just(ast.Name("account")), values, span=spans),
        sends,
        waits,
        times,
        branches,
    )
    return st.one_of(
        st.builds(ast.Split, names, expressions, arms, st.none() | texts | words, span=spans),
        st.builds(ast.Priority, st.lists(names, max_size=4).map(tuple), span=spans),
        st.builds(ast.Moved, names, names, span=spans),
        st.builds(ast.Removed, names, st.sampled_from(["keep", "delete"]), span=spans),
        st.builds(ast.Flow, names, st.lists(items, max_size=4).map(tuple), span=spans),
    )


@cache
def statements() -> st.SearchStrategy[ast.Statement]:
    entries = st.builds(
        ast.Entry, st.builds(ast.Name, st.sampled_from(KEYS), span=spans), entry_values, st.booleans(), span=spans
    )
    blocks = st.builds(
        ast.Block,
        st.sampled_from(["account", "upload", "table", "message", "delivery"]),
        names,
        st.lists(entries, max_size=4).map(tuple),
        st.lists(st.builds(ast.Verb, names, st.none() | names, span=spans), max_size=2).map(tuple),
        st.lists(st.builds(ast.Flag, st.sampled_from(["allow empty", "allow x"]), span=spans), max_size=1).map(tuple),
        span=spans,
    )
    excepted = st.lists(names, max_size=2).map(tuple)
    words = st.builds(ast.Word, WORDS, span=spans)
    times = st.builds(ast.TimeOfDay, st.integers(0, 23), st.sampled_from([0, 59]))
    rules = st.one_of(
        st.builds(ast.ExcludeRule, expressions, excepted, span=spans),
        st.builds(ast.RequireRule, expressions, excepted, span=spans),
        st.builds(
            ast.MeasureRule,
            st.sampled_from(["reach", "change", "freshness"]),
            st.none() | OPERATORS,
            st.none() | numbers | st.builds(ast.Percent, st.just(Decimal(10))) | words,
            excepted,
            span=spans,
        ),
        st.builds(ast.QuietRule, words | st.builds(ast.Range, times | ends, times | ends), excepted, span=spans),
        st.builds(ast.CapRule, words | st.integers(-1, 3), words | durations, excepted, span=spans),
    )
    people = st.builds(ast.ListValue, st.lists(simple, max_size=3).map(tuple))
    items = st.one_of(
        st.builds(ast.Given, expressions, people, span=spans),
        st.builds(ast.TestAt, dates, span=spans),
        st.builds(ast.Expect, expressions, people, span=spans),
        st.builds(ast.ExpectCount, expressions, st.integers(0, 3), span=spans),
        st.builds(ast.Prove, expressions, st.sampled_from(["=", "within", "disjoint"]), expressions, span=spans),
    )
    return st.one_of(
        blocks,
        _of_the_whole_language(),
        st.builds(ast.Audience, names, expressions, st.booleans(), span=spans),
        st.builds(ast.Policy, names, st.lists(rules, max_size=2).map(tuple), span=spans),
        st.builds(ast.Test, st.just("t"), st.lists(items, max_size=4).map(tuple), span=spans),
        st.builds(ast.Bad, st.sampled_from(["audience", "delivery", "policy"]), st.none() | names, span=spans),
    )


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(statements(), max_size=8))
def test_analysis_never_raises(found: list[ast.Statement]) -> None:
    analysis, _ = analyse((ast.File("a.aud", tuple(found)),), name="p", timezone="Asia/Tokyo")
    testing.run_tests(analysis)

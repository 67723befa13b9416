"""Splits, samples and look-alikes: who falls where, and what is refused."""

from __future__ import annotations

import hashlib
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from meaning_project import BUYERS, OPTOUT, SHOP, codes, read, sound

from audsql import testing
from audsql.meaning import algebra, ir
from audsql.meaning.splits import BUCKETS, bucket_of

IDS = [f"U{number:032x}" for number in range(10_000)]


def naive_bucket(salt: str, member: str) -> int:
    """By the words of the specification, sharing nothing with the code."""
    return int(hashlib.sha256((salt + ":" + member).encode("utf-8")).hexdigest()[:8], 16) % 10_000


def keys_of(member: str, expression: ir.Expression, *others: str) -> frozenset[str]:
    """The atoms (keys) of somebody who is in `others`."""
    buckets = [atom for atom in ir.atoms_of(expression) if isinstance(atom, ir.Bucket)]
    mine = {atom.key for atom in buckets if atom.low <= naive_bucket(atom.salt, member) < atom.high}
    return frozenset({*others, *mine})


@pytest.mark.parametrize(
    ("salt", "member", "wanted"),
    [("2026-12", "U" + "0" * 32, 1952), ("sample:s", "taro@example.com", 9816), ("夏", "09012345678", 6362)],
)
def test_buckets_of_known_ids(salt: str, member: str, wanted: int) -> None:
    """They never change: an experiment would lose its arms."""
    assert bucket_of(salt, member) == naive_bucket(salt, member) == wanted


def split_of(weights: list[int], salt: str) -> ir.Split:
    arms = ", ".join(f"arm{index} {weight / 100:.2f}%" for index, weight in enumerate(weights))
    text = f'split test of uploaded(buyers) {{ {arms} }} salt "{salt}"\n'
    (split,) = sound(BUYERS + text).project.splits
    return split


@st.composite
def weights(draw: st.DrawFn) -> list[int]:
    """Hundredths of a percent that come to 100%."""
    cuts = sorted(draw(st.sets(st.integers(1, BUCKETS - 1), max_size=6)))
    return [high - low for low, high in zip([0, *cuts], [*cuts, BUCKETS], strict=True)]


@given(weights(), st.sampled_from(["2026-12", "夏のテスト", "x"]))
@settings(max_examples=40, deadline=None)
def test_arms_are_disjoint_and_cover_the_set(parts: list[int], salt: str) -> None:
    split = split_of(parts, salt)
    starts = [sum(parts[:index]) for index in range(len(parts))]
    for member in IDS[:300]:
        inside = [
            arm.name
            for arm in split.arms
            if ir.evaluate(arm.expression, keys_of(member, arm.expression, "uploaded(buyers)"))
        ]
        bucket = naive_bucket(salt, member)
        wanted = max(index for index, start in enumerate(starts) if start <= bucket)
        assert inside == [f"arm{wanted}"]
        assert not any(ir.evaluate(arm.expression, keys_of(member, arm.expression)) for arm in split.arms)


def test_shares_are_as_written() -> None:
    split = split_of([1_000, 4_500, 4_500], "2026-12")
    counts = Counter(
        arm.name
        for member in IDS
        for arm in split.arms
        if ir.evaluate(arm.expression, keys_of(member, arm.expression, "uploaded(buyers)"))
    )
    assert sum(counts.values()) == len(IDS)
    for arm in split.arms:
        # Five standard deviations of 10,000 throws are below 2.5 percent.
        assert abs(counts[arm.name] - arm.hundredths) < 250


@given(st.integers(1, BUCKETS), st.integers(1, BUCKETS))
@settings(max_examples=40, deadline=None)
def test_samples_of_one_seed_nest(left: int, right: int) -> None:
    low, high = sorted((left, right))
    shares = [meaning(f'sample(uploaded(buyers), {share / 100:.2f}%, seed: "s")') for share in (low, high)]
    for member in IDS[:300]:
        small, large = (ir.evaluate(one, keys_of(member, one, "uploaded(buyers)")) for one in shares)
        assert large or not small
        assert small == (naive_bucket("sample:s", member) < low)


def meaning(text: str) -> ir.Expression:
    audience = sound(SHOP + f"audience it = {text}\n").project.audience("it")
    assert audience is not None
    return audience.expression


def test_a_sample_is_the_set_and_its_first_buckets() -> None:
    bucket = ir.leaf(ir.Bucket("sample:s", 0, 1_000))
    assert meaning('sample(uploaded(buyers), 10%, seed: "s")') == ir.land(ir.leaf(ir.Uploaded("buyers")), bucket)
    assert meaning('sample(uploaded(buyers), 100%, seed: "s")') == ir.leaf(ir.Uploaded("buyers"))


def test_a_share_never_grows_to_everybody() -> None:
    assert algebra.anchored(meaning('sample(uploaded(buyers), 10%, seed: "s")'))
    assert codes(SHOP + 'delivery d { to: NOT sample(uploaded(buyers), 10%, seed: "s")  send: card }\n') == ["AUD0352"]
    assert (
        codes(SHOP + 'delivery d { to: friends EXCEPT sample(uploaded(buyers), 10%, seed: "s")  send: card }\n') == []
    )


def test_samples_of_a_sample_and_of_an_arm() -> None:
    text = 'split t of sample(uploaded(buyers), 50%, seed: "s") { a 50%, b 50% } salt "x"\n'
    analysis = sound(SHOP + text + 'audience it = sample(t.a, 10%, seed: "y")\n')
    (audience,) = analysis.project.audiences
    salts = [atom.salt for atom in ir.atoms_of(audience.expression) if isinstance(atom, ir.Bucket)]
    assert sorted(salts) == ["sample:s", "sample:y", "x"]


def test_arms_name_their_split() -> None:
    analysis = sound(BUYERS + 'split t of uploaded(buyers) { a 50%, b 50% } salt "x"\naudience it = t.b\n')
    assert [arm.name for arm in analysis.project.splits[0].arms] == ["a", "b"]
    assert algebra.to_words(analysis.project.audiences[0].expression) == "t.b AND uploaded(buyers)"


PHONES = 'upload phones { file: "phones.txt"  id: phone }\n'
REFUSED = [
    (
        "sample of a mix names LINE's atom",
        SHOP + 'audience a = sample(clicked(spring) AND uploaded(buyers), 1%, seed: "s")\n',
        ["AUD0357"],
    ),
    (
        "through an audience",
        SHOP + 'audience b = clicked(spring)\naudience a = sample(b, 1%, seed: "s")\n',
        ["AUD0357"],
    ),
    ("of nobody", SHOP + 'audience a = sample(uploaded(buyers), 0%, seed: "s")\n', ["AUD0361"]),
    ("no percentage", SHOP + 'audience a = sample(uploaded(buyers), seed: "s")\n', ["AUD0320"]),
    ("an unknown set is told once", SHOP + 'audience a = sample(nothing, 1%, seed: "s")\n', ["AUD0201"]),
    ("a broken split is silent", SHOP + 'split t of nothing { a 100% } salt "x"\naudience a = t.a\n', ["AUD0201"]),
    (
        "a broken arm is silent",
        SHOP + 'split t of uploaded(buyers) { a 10% } salt "x"\naudience a = t.zzz\n',
        ["AUD0362"],
    ),
    ("a split of a split of itself", 'split t of t.a { a 100% } salt "x"\n', ["AUD0210"]),
    ("empty split set", SHOP + 'split t of purchased(A) EXCEPT orders() { a 100% } salt "x"\n', ["AUD0350"]),
    (
        "kinds stay",
        SHOP + PHONES + 'audience a = sample(uploaded(phones), 1%, seed: "s") AND uploaded(buyers)\n',
        ["AUD0340"],
    ),
    (
        "a look-alike in a policy",
        SHOP + "audience like = lookalike(uploaded(buyers), 3%)\npolicy p { always except like }\n",
        ["AUD0367"],
    ),
    (
        "a look-alike by name",
        SHOP + "audience like = lookalike(uploaded(buyers), 3%)\ndelivery d { to: like  send: card }\n",
        ["AUD0367"],
    ),
    ("a small look-alike", SHOP + "audience like = lookalike(uploaded(buyers), 0.5%)\n", ["AUD0368"]),
    (
        "a look-alike is opaque",
        SHOP + 'audience a = sample(lookalike(uploaded(buyers), 3%), 1%, seed: "s")\n',
        ["AUD0357"],
    ),
]


@pytest.mark.parametrize(("text", "wanted"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_refused(text: str, wanted: list[str]) -> None:
    assert codes(text) == wanted


def test_the_sum_of_the_weights_is_told() -> None:
    _, (problem,) = read(BUYERS + 'split t of uploaded(buyers) { a 33.33%, b 33.33%, c 33.33% } salt "x"\n')
    assert (problem.fact("sum"), problem.fact("missing"), problem.fact("over")) == ("99.99%", "0.01%", None)


# --- in tests ---------------------------------------------------------------------------------------

SPLIT = BUYERS + OPTOUT + 'split t of uploaded(buyers) { a 50%, b 50% } salt "x"\n'


def results(text: str) -> list[str]:
    analysis, problems = read(SPLIT + text)
    assert not problems
    return [one.code for result in testing.run_tests(analysis) for one in result.diagnostics]


def test_shares_follow_from_names() -> None:
    people = [f"u{number}" for number in range(1, 21)]
    wanted = [person for person in people if naive_bucket("x", person) < 5_000]
    assert 0 < len(wanted) < len(people)
    text = f'test "t" {{\n  given uploaded(buyers) = [{", ".join(people)}]\n  expect t.a = [{", ".join(wanted)}]\n}}\n'
    assert results(text) == []
    assert results(text.replace("expect t.a", "expect t.b")) == ["AUD0901"]


def test_given_arms_set_the_hash_aside() -> None:
    given_arms = "  given uploaded(buyers) = [u1, u2, u3]\n  given t.a = [u1]\n"
    for arms in ("u1", "u2", "u3"):
        text = f'test "t" {{\n{given_arms.replace("[u1]", f"[{arms}]")}  expect t.a = [{arms}]\n  expect t.b = []\n}}\n'
        assert results(text) == []


def test_a_given_arm_is_within_its_set_and_alone() -> None:
    assert results('test "t" {\n  given t.a = [u1]\n  expect t.a = []\n}\n') == ["AUD0906"]
    twice = "  given uploaded(buyers) = [u1]\n  given t.a = [u1]\n  given t.b = [u1]\n"
    assert results(f'test "t" {{\n{twice}  expect t.a = [u1]\n}}\n') == ["AUD0907"]


@pytest.mark.parametrize("written", ["sample(uploaded(buyers), 10)", "sample(uploaded(buyers))"])
def test_a_sample_without_its_percentage_is_one_mistake(written: str) -> None:
    """The form that is shown has the seed too."""
    assert codes(BUYERS + f"audience tenth = {written}\n") == ["AUD0320"]

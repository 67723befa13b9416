"""Every engine behind the port means the same people: one suite, the embedded engine as the measure."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from engine_cases import (
    AS_OF,
    BUCKETS,
    CODES,
    EVERY,
    KEY,
    LISTS,
    MAPPED,
    PHONES,
    REMOTE,
    SHOP,
    SWEEP,
    every_atom,
    expressions,
    opened,
    user_id,
    write_world,
)

from audsql.data.engine import Engine, EngineFailure, Materialised
from audsql.data.erased import digest_of_id, erased_of
from audsql.data.exclusions import empty_exclusions
from audsql.data.keys import Keys
from audsql.meaning.ir import (
    EVERYBODY,
    NOBODY,
    Account,
    Bucket,
    ColumnIn,
    Expression,
    Last,
    Linked,
    Mapped,
    Project,
    Rows,
    TableSource,
    Uploaded,
    UploadSource,
    land,
    leaf,
    lnot,
    lor,
)

MAKER = Path(__file__).parents[1] / "fixtures" / "make_f1000.py"
BUYERS, OPTOUT = LISTS
F1000 = Project(
    "shop",
    "Asia/Tokyo",
    (Account("shop", "TOKEN"),),
    (UploadSource("buyers", "data/buyers.txt", "user_id"), UploadSource("optout", "data/optout.txt", "user_id")),
    (TableSource("orders", "data/orders.csv", (("user_id", "user_id"),), "ordered_at"),),
)
# The long form takes three hundred on all of them.
RANDOM = {"duckdb": 100, "postgres": 100, "spark": 40}
PURCHASED_A = Rows("orders", (ColumnIn("product", ("A",)),))


@pytest.fixture(scope="module")
def f1000(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("f1000")
    subprocess.run([sys.executable, MAKER, root], check=True)
    return root


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world")
    write_world(root, 7)
    return root


def members(engine: Engine, read: Materialised, atoms: list) -> dict[str, list[str]]:
    return {one.key: list(engine.members(read.people[one.key])) for one in atoms if one.key in read.people}


# --- the founding sentence ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", EVERY)
def test_founding_sentence(kind: str, f1000: Path) -> None:
    engine = opened(kind, f1000, F1000)
    read, problems = engine.materialise([PURCHASED_A, BUYERS], AS_OF)
    people = engine.evaluate(land(leaf(PURCHASED_A), lnot(leaf(BUYERS))), read.people)
    assert problems == ()
    assert engine.count(people) == 215
    assert list(engine.members(people)) == [user_id(i) for i in range(1, 1001) if i % 4 == 0 and i % 7]


@pytest.mark.parametrize("kind", EVERY)
def test_windows_end_at_as_of(kind: str, f1000: Path) -> None:
    engine = opened(kind, f1000, F1000)
    recent, hours = Rows("orders", (ColumnIn("product", ("A",)), Last(90, "day"))), Rows("orders", (Last(36, "hour"),))
    for moment in (AS_OF, AS_OF - timedelta(days=30, hours=5)):
        read, _ = engine.materialise([recent, hours], moment)
        midnight = (moment - timedelta(hours=moment.hour, minutes=moment.minute)) - timedelta(days=90)
        times = [(i, AS_OF - timedelta(days=i % 500, hours=12)) for i in range(1, 1001)]
        assert engine.count(read.people[recent.key]) == sum(i % 4 == 0 and midnight <= t < moment for i, t in times)
        bought = [(i, t) for i, t in times if i % 4 == 0 or i % 6 == 0]
        inside = sum(moment - timedelta(hours=36) <= t < moment for _, t in bought)
        assert engine.count(read.people[hours.key]) == inside


# --- every condition, every derived set, random expressions -------------------------------------------


@pytest.mark.parametrize("kind", REMOTE)
def test_every_condition_names_the_same_people(kind: str, world: Path) -> None:
    # A question costs Spark a job: it gets each kind once.
    atoms = every_atom(11, 120) if SWEEP else every_atom(11, 8, 1) if kind == "spark" else every_atom(11)
    found = {}
    for one in ("embedded", kind):
        engine = opened(one, world, SHOP)
        read, problems = engine.materialise(atoms, AS_OF)
        found[one] = (members(engine, read, atoms), read.sources, read.digests, problems)
    assert len(found[kind][0]) == len(atoms)
    assert found[kind] == found["embedded"]


def both(kind: str, world: Path, atoms: list) -> Mapping[str, tuple[Engine, Materialised]]:
    made = {}
    for one in ("embedded", kind):
        engine = opened(one, world, SHOP)
        read, problems = engine.materialise(atoms, AS_OF)
        assert problems == ()
        made[one] = (engine, read)
    return made


@pytest.mark.parametrize("kind", REMOTE)
def test_random_expressions_have_the_same_members(kind: str, world: Path) -> None:
    atoms = [*every_atom(13, 20), *LISTS, Linked("members"), *MAPPED, *BUCKETS]
    atoms = [one for one in atoms if getattr(one, "table", "") != "visits"]
    made = both(kind, world, atoms)
    outside = 0
    for at, expression in enumerate(expressions(atoms, 17, 300 if SWEEP else RANDOM[kind])):
        results = []
        for engine, read in made.values():
            try:
                people = engine.evaluate(expression, read.people)
                found = list(engine.members(people))
                # The rest is asked of some: it follows from the members.
                results.append((found, (engine.count(people), engine.fingerprint(people)) if at % 10 == 0 else ()))
            except ValueError as problem:
                results.append(str(problem))
        assert results[0] == results[1], expression.key
        outside += isinstance(results[0], str)
    assert 0 < outside < 150


@pytest.mark.parametrize("kind", REMOTE)
def test_derived_sets_losses_and_notes(kind: str, world: Path) -> None:
    atoms = [*MAPPED, *BUCKETS, *LISTS, PHONES, CODES, Rows("visits"), Linked("visits")]
    made = both(kind, world, atoms)
    (embedded, expected), (engine, read) = made.values()
    sets = [one for one in atoms if not isinstance(one, Bucket)]
    assert members(engine, read, sets) == members(embedded, expected, sets)
    assert read.losses == expected.losses
    assert read.sources == expected.sources
    assert read.digests == expected.digests
    assert len(read.losses) == len(MAPPED) + 1
    for beside in (BUYERS, MAPPED[0], PHONES, CODES):
        for bucket in BUCKETS:
            expression = land(leaf(beside), leaf(bucket))
            people = engine.evaluate(expression, read.people)
            assert list(engine.members(people)) == list(
                embedded.members(embedded.evaluate(expression, expected.people))
            )


@pytest.mark.parametrize("kind", REMOTE)
def test_mapped_sets_and_buckets_are_made_anew(kind: str, world: Path) -> None:
    atoms = [MAPPED[0], MAPPED[2], BUYERS, *BUCKETS]
    found = []
    for engine, read in both(kind, world, atoms).values():
        more = dict(read.people) | {PHONES.key: engine.evaluate(NOBODY, {})}
        beside = {MAPPED[0].key: read.people[BUYERS.key]}
        again = engine.derive(atoms, more, read, beside)
        bucketed = engine.evaluate(land(leaf(MAPPED[0]), leaf(BUCKETS[1])), {**more, **again})
        found.append([sorted(again), *(list(engine.members(one)) for one in (again[MAPPED[0].key], bucketed))])
    assert found[0] == found[1]
    assert found[0][1] == [user_id(i) for i in range(0, 49, 3)]


# --- sets ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", EVERY)
def test_union_delta_save_and_load(kind: str, world: Path) -> None:
    engine = opened(kind, world, SHOP)
    read, _ = engine.materialise([BUYERS, OPTOUT, PHONES], AS_OF)
    buyers, optout = (read.people[one.key] for one in LISTS)
    thirds, sevenths = ({user_id(i) for i in range(0, 49, step)} for step in (3, 7))
    entering, leaving = engine.delta(buyers, optout)
    assert list(engine.members(engine.union(buyers, optout))) == sorted(thirds | sevenths)
    assert list(engine.members(entering)) == sorted(sevenths - thirds)
    assert list(engine.members(leaving)) == sorted(thirds - sevenths)
    assert [engine.count(one) for one in engine.delta(buyers, buyers)] == [0, 0]
    nobody = engine.evaluate(NOBODY, {})
    assert engine.count(engine.union(nobody, buyers)) == len(thirds)
    assert [engine.count(one) for one in engine.delta(nobody, buyers)] == [len(thirds), 0]
    with pytest.raises(ValueError, match="different ids"):
        engine.union(buyers, read.people[PHONES.key])
    with pytest.raises(ValueError, match="no list names"):
        engine.evaluate(EVERYBODY, {})
    for name, people in (("b", buyers), ("p", read.people[PHONES.key]), ("n", nobody), ("e", entering)):
        engine.save(name, people)
        loaded = opened(kind, world, SHOP).load(name)
        assert loaded is not None
        other = opened(kind, world, SHOP)
        assert list(other.members(other.load(name))) == list(engine.members(people)), name
        assert engine.is_fingerprint(people, other.fingerprint(other.load(name)))
    assert engine.load("unknown") is None


@pytest.mark.parametrize("kind", REMOTE)
def test_kept_sets_and_fingerprints_are_those_of_the_embedded_engine(kind: str, world: Path, tmp_path: Path) -> None:
    keys = Keys((KEY * 2, KEY * 3))
    cache = world / ".audsql" / "cache-shared"
    engines = [opened(one, world, SHOP, keys.current, keys) for one in ("embedded", kind)]
    for engine in engines:
        engine.cache = cache
    for writer, reader in (engines, engines[::-1]):
        read, _ = writer.materialise([BUYERS, PHONES, CODES], AS_OF)
        for atom in (BUYERS, PHONES, CODES):
            writer.save("set", read.people[atom.key])
            loaded = reader.load("set")
            assert list(reader.members(loaded)) == list(writer.members(read.people[atom.key]))
            assert reader.fingerprint(loaded) == writer.fingerprint(read.people[atom.key])
    older = opened(kind, world, SHOP, keys.secrets[1])
    read, _ = older.materialise([BUYERS], AS_OF)
    known = older.fingerprint(read.people[BUYERS.key])
    read, _ = engines[1].materialise([BUYERS], AS_OF)
    assert engines[1].fingerprint(read.people[BUYERS.key]) != known
    assert engines[1].is_fingerprint(read.people[BUYERS.key], known)
    weak = opened(kind, world, SHOP, b"short")
    with pytest.raises(EngineFailure):
        weak.fingerprint(weak.evaluate(NOBODY, {}))


def _deep(levels: int, atoms: list) -> Expression:
    found: Expression = leaf(atoms[0])
    for level in range(levels):
        atom = leaf(atoms[level % len(atoms)])
        found = lor(land(found, atom), lnot(lor(lnot(found), lnot(leaf(BUYERS))))) if level % 2 else lor(found, atom)
    return found


@pytest.mark.parametrize("kind", REMOTE)
def test_deep_and_wide_expressions(kind: str, world: Path) -> None:
    lists = [Rows("orders", (ColumnIn("name", (word,)),)) for word in ("A", "a", "B", "10", "010")]
    many = [Bucket("wide", at * 100, at * 100 + 50) for at in range(60)]
    wide = land(leaf(BUYERS), lor(*(leaf(one) for one in many)))
    atoms = [*lists, *LISTS, *many]
    found = []
    for engine, read in both(kind, world, atoms).values():
        results = [engine.evaluate(one, read.people) for one in (_deep(120, lists), wide)]
        found.append([list(engine.members(one)) for one in results])
    assert found[0] == found[1]
    assert all(found[0])


# --- files --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", EVERY)
def test_pinned_digests(kind: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    path = tmp_path / "data/buyers.txt"
    path.write_text(f"{user_id(1)}\n")
    used = opened(kind, tmp_path, F1000)
    digest = used.materialise([BUYERS], AS_OF)[0].digests[BUYERS.key]
    again, problems = opened(kind, tmp_path, F1000).materialise([BUYERS], AS_OF, {"buyers": digest})
    assert (problems, again.digests) == ((), {BUYERS.key: digest})
    path.write_text(f"{user_id(2)}\n")
    then, problems = used.materialise([BUYERS], AS_OF, {"buyers": digest})
    assert problems == ()
    assert list(used.members(then.people[BUYERS.key])) == [user_id(1)]
    assert then.sources["buyers"].modified is None
    now, _ = used.materialise([BUYERS], AS_OF)
    assert list(used.members(now.people[BUYERS.key])) == [user_id(2)]
    unknown, problems = used.materialise([BUYERS], AS_OF, {"buyers": "0" * 64})
    assert (problems, dict(unknown.people), dict(unknown.sources)) == ((), {}, {})


@pytest.mark.parametrize("kind", REMOTE)
def test_files_are_refused_alike(kind: str, tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text(f"uid,amount,at\n{user_id(1)},x,2026-11-20\nU1,2,never\n{user_id(2)},3,\n")
    (tmp_path / "members.csv").write_text(f"uid,tel,code\n{user_id(1)},,m1\n")
    (tmp_path / "buyers.txt").write_text(f"{user_id(1)}\n{user_id(1)}\n")
    (tmp_path / "codes.csv").write_text('code\nm1\nm1\n""\n')
    (tmp_path / "optout.txt").write_text("nobody\n")
    condition = next(one for one in every_atom(1) if "sum" in one.key and "amount" in one.key)
    cases = [[condition], [Rows("orders", (Last(3, "day"),))], [MAPPED[0]], [CODES], [BUYERS, OPTOUT], [PHONES]]
    cases += [[Rows("orders", (ColumnIn("nothing", ("A",)),))], [Rows("members", (Last(3, "day"),))]]
    for atoms in cases:
        told = []
        for one in ("embedded", kind):
            engine = opened(one, tmp_path, SHOP)
            read, problems = engine.materialise(atoms, AS_OF)
            told.append((problems, read.sources, sorted(read.people)))
        assert told[0] == told[1], atoms
        assert told[0][0], atoms


@pytest.mark.parametrize("kind", REMOTE)
def test_empty_files_and_empty_exclusions(kind: str, tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text("uid,code,name,amount,ok,at\n")
    (tmp_path / "buyers.txt").write_text("")
    expression = land(leaf(Rows("orders")), lnot(leaf(BUYERS)))
    told = []
    for one in ("embedded", kind):
        engine = opened(one, tmp_path, SHOP)
        read, problems = engine.materialise([Rows("orders"), *every_atom(3, 0)[3:], BUYERS], AS_OF)
        people = engine.evaluate(expression, read.people)
        excluded = empty_exclusions(SHOP, expression, read.sources)
        told.append((problems, read.sources, engine.count(people), engine.fingerprint(people), excluded))
    assert told[0] == told[1]
    assert [one.code for one in told[0][4]] == ["AUD1050"]


@pytest.mark.parametrize("kind", EVERY)
def test_whoever_was_erased_is_in_no_set(kind: str, tmp_path: Path) -> None:
    world = tmp_path
    write_world(world, 7)
    keys = Keys((KEY * 2,))
    gone = user_id(21)
    stones = [digest_of_id(keys, "user_id", gone), digest_of_id(keys, "phone", "09011110006")]
    before = opened(kind, world, SHOP, keys.current, keys)
    sent = before.materialise([PHONES], AS_OF)[0].people[PHONES.key]
    before.save("sent", sent)
    erased = erased_of(keys, stones, frozenset({"optout"}))
    engine = opened(kind, world, SHOP, keys.current, keys, erased)
    atoms = [BUYERS, OPTOUT, PHONES, Rows("orders"), Linked("members"), MAPPED[0]]
    read, problems = engine.materialise(atoms, AS_OF)
    assert problems == ()
    inside = {one.key: gone in set(engine.members(read.people[one.key])) for one in atoms}
    assert inside == {one.key: one == OPTOUT for one in atoms}
    assert engine.count(read.people[BUYERS.key]) == 16
    assert "09011110006" not in set(engine.members(read.people[PHONES.key]))
    other = opened(kind, world, SHOP, keys.current, keys, erased)
    assert len(list(other.members(other.load("sent")))) == before.count(sent) - 1


@pytest.mark.parametrize("kind", EVERY)
def test_answers_may_be_read_side_by_side(kind: str, world: Path) -> None:
    engine = opened(kind, world, SHOP)
    read, _ = engine.materialise([BUYERS, OPTOUT], AS_OF)
    left, right = (engine.members(read.people[one.key]) for one in LISTS)
    assert next(left) == next(right) == user_id(0)
    assert engine.count(engine.evaluate(lor(*map(leaf, LISTS)), read.people)) > 0
    assert next(left) == user_id(3)
    assert next(right) == user_id(7)


@pytest.mark.parametrize("kind", REMOTE)
def test_rows_do_not_stay(kind: str, world: Path) -> None:
    engine = opened(kind, world, SHOP)
    loaded, dropped = [], []
    backend = engine.session.backend
    real_load, real_drop = backend.load, backend.drop

    class Watched:
        kind = backend.kind
        keep, rows, ids = backend.keep, backend.rows, backend.ids

        def load(self, table: str, columns: list, pieces: object) -> None:
            if columns != (("person", "text"),):
                loaded.append(table)
            real_load(table, columns, pieces)

        def drop(self, table: str) -> None:
            dropped.append(table)
            real_drop(table)

    engine.session.backend = Watched()
    engine.materialise([Rows("orders", (ColumnIn("name", ("A",)),)), BUYERS], AS_OF)
    assert loaded == dropped
    assert len(loaded) == 1


def test_mapped_is_what_the_name_says() -> None:
    assert all(isinstance(one, Mapped) for one in MAPPED)
    assert isinstance(BUYERS, Uploaded)

"""`check` after edits: what is remembered never changes what is said."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from audsql import user_cache
from audsql.cli.check import _checked
from audsql.cli.console import make_console
from audsql.config import load_project
from audsql.session import incremental, remembered
from audsql.session.variables import NO_VARIABLES

CONFIG = '[project]\nname = "many"\n'
HEAD = """\
account shop { token: env("T") }
table orders { file: "orders.csv" id: user_id time: time verb purchased by product }
upload buyers { file: "buyers.txt" id: user_id }
upload staff { file: "staff.txt" id: user_id }
"""
POLICY = "policy quiet { always except uploaded(staff) }\n"


class Bench:
    """A project folder that is edited, with the cache that its checks share."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = folder / "project"
        self.root.mkdir()
        self._patch, self._folder = monkeypatch, folder
        self._cold, self.said = 0, ""
        self.write("audsql.toml", CONFIG)

    def write(self, path: str, text: str) -> None:
        (self.root / path).write_text(text, "utf-8")

    def read(self, path: str) -> str:
        return (self.root / path).read_text("utf-8")

    def paths(self) -> list[str]:
        return sorted(path.name for path in self.root.glob("*.aud"))

    def warm(self) -> tuple[str, incremental.Recheck | None]:
        """The document as `check` finds it, and what was checked again where not everything was."""
        self._patch.setenv("XDG_CACHE_HOME", str(self._folder / "cache"))
        loaded, console = load_project(self.root), make_console("en", None)
        again = incremental.recheck(self.root, loaded, "en")
        document = again.document if again else _checked(self.root, None, loaded, NO_VARIABLES, console)[0]
        self.said = json.dumps(document, ensure_ascii=False)
        return self.said, again

    def cold(self) -> str:
        """The same by a check that knows nothing."""
        self._cold += 1
        self._patch.setenv("XDG_CACHE_HOME", str(self._folder / f"empty-{self._cold}"))
        loaded, console = load_project(self.root), make_console("en", None)
        return json.dumps(_checked(self.root, None, loaded, NO_VARIABLES, console)[0], ensure_ascii=False)

    def agree(self) -> incremental.Recheck | None:
        warm, again = self.warm()
        assert warm == self.cold()
        return again


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


def statement(at: int, random: Random) -> str:
    """A statement with the names of its number; it may use those of any smaller one."""
    before = [other for other in range(at) if other % 10 not in (3, 6, 7, 8, 9)]
    other = f"a{random.choice(before)}" if before and random.random() < 0.6 else "uploaded(buyers)"
    days = 20 + random.randrange(300)
    own = f"purchased(P{random.randrange(at + 1)}, last {days} days)"
    match at % 10:
        case 3:
            return f"delivery d{at} {{ to: {other} AND gender(female)  send: m{at + 3}  at: 2026-12-01 10:00 }}\n"
        case 6:
            return f'message m{at} {{ text: "to\\n{at}, a1" }}\n'
        case 7:
            return f'split s{at} of {own} {{ a 50% b 50% }} salt "s{at}"\n'
        case 8:
            return f'test "t{at}" {{ given {own} = [U1] expect {own} = [U1] }}\n'
        case 9:
            return f"audience b{at} = {own} AND NOT clicked(d{at - 6})\n"
        case _:
            return f"audience a{at} = {own} AND {other} # a{at + 1}\n"


@pytest.fixture
def many(bench: Bench) -> Bench:
    """Eight files of ten statements, all sound, with one that is warned of."""
    random = Random(5)
    bench.write("0.aud", HEAD + POLICY + "audience warned = uploaded(buyers) EXCEPT gender(male)\n")
    for number in range(8):
        bench.write(f"{number + 1}.aud", "".join(statement(10 * number + at, random) for at in range(10)))
    assert bench.agree() is None
    return bench


# --- edits that are cheap ---------------------------------------------------------------------------


def test_an_edit_of_one_audience_reads_what_it_concerns_alone(many: Bench) -> None:
    random = Random(1)
    for turn in range(25):
        path = random.choice(many.paths()[1:])
        at = random.choice([0, 1, 2, 4, 5]) + 10 * (int(path[0]) - 1)
        lines = many.read(path).splitlines(keepends=True)
        lines[at % 10] = f"audience a{at} = purchased(N{turn}, last {turn + 5} days) AND uploaded(buyers)\n"
        many.write(path, "".join(lines))
        again = many.agree()
        assert again is not None
        assert 0 < again.affected + again.needed < 60


@pytest.mark.parametrize(
    "added",
    [
        "audience fresh = a1 AND purchased(A)\n",
        'upload fresh { file: "f.txt" id: user_id }\naudience other = uploaded(fresh)\n',
        'message fresh { text: "hello" }\ndelivery sent { to: a2  send: fresh  at: 2026-12-01 10:00 }\n',
        'test "fresh" { given purchased(A) = [U1] expect purchased(A) = [U1] }\n',
        "audience `more than one word` = a4\naudience last_one = `more than one word` AND a5\n",
        "audience 休眠客 = a4\naudience last_one = 休眠客 AND a5\n",
        "# nothing but a comment that names a1\n",
    ],
)
def test_what_is_added_and_taken_away_again_is_cheap(many: Bench, added: str) -> None:
    many.write("new.aud", added)
    assert many.agree() is not None
    (many.root / "new.aud").unlink()
    assert many.agree() is not None
    many.write("3.aud", many.read("3.aud") + added)
    assert many.agree() is not None


def test_statements_move_between_files(many: Bench) -> None:
    first, *rest = many.read("2.aud").splitlines(keepends=True)
    many.write("2.aud", "".join(rest))
    many.write("3.aud", many.read("3.aud") + first)
    again = many.agree()
    assert again is not None
    assert again.affected == 0


def test_a_message_file_is_read_again(many: Bench) -> None:
    many.write("card.json", '{"type": "text", "text": "hello"}')
    many.write("new.aud", 'message card { file: "card.json" }\ndelivery c { to: a1 send: card at: 2026-12-01 10:00 }\n')
    assert many.agree() is not None
    many.write("card.json", '{"type": "text", "text": "good evening"}')
    assert many.agree() is not None
    many.write("card.json", '{"type": "text"}')
    assert many.agree() is None
    assert '"AUD11' in many.warm()[0]


# --- edits that concern what did not change ---------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "old", "new", "code"),
    [
        ("1.aud", "audience a1 =", "audience renamed =", "AUD0201"),
        ("1.aud", "audience a1 =", "audience a2 =", "AUD0202"),
        ("1.aud", "audience a1 =", "delivery a1 =", "AUD01"),
        ("1.aud", "audience a0 = ", "audience a0 = a0 AND ", "AUD0210"),
        ("1.aud", "delivery d3 {", "delivery dx {", "AUD0207"),
        ("1.aud", "message m6 {", "message mx {", "AUD0207"),
        ("0.aud", "upload buyers", "upload buyer", "AUD02"),
        ("0.aud", "verb purchased", "verb bought", "AUD02"),
        ("0.aud", "id: user_id time", "id: phone time", "AUD03"),
        ("0.aud", "uploaded(staff)", "uploaded(nobody)", "AUD02"),
    ],
)
def test_what_breaks_elsewhere_is_found(many: Bench, path: str, old: str, new: str, code: str) -> None:
    text = many.read(path)
    assert old in text
    many.write("9.aud", "audience uses = a1 AND clicked(d3)\ndelivery last { to: a1 send: m6 at: 2026-12-01 10:00 }\n")
    many.agree()
    many.write(path, text.replace(old, new, 1))
    assert many.agree() is None
    assert f'"{code}' in many.warm()[0]
    many.write(path, text)
    assert many.agree() is not None


def test_a_warning_stays_where_it_is_and_moves_with_its_text(many: Bench) -> None:
    assert '"AUD0503"' in many.warm()[0]
    many.write("4.aud", many.read("4.aud").replace("last ", "last 1", 1))
    assert many.agree() is not None
    assert '"AUD0503"' in many.warm()[0]
    many.write("0.aud", f"# moved down\n{many.read('0.aud')}")
    assert many.agree() is None
    many.write("4.aud", many.read("4.aud") + "audience doubtful = a1 EXCEPT gender(male)\n")
    assert many.agree() is None


def test_a_table_that_links_ids_concerns_every_set(many: Bench) -> None:
    many.write("new.aud", 'upload phones { file: "p.txt" id: phone }\naudience linked_ones = uploaded(phones)\n')
    many.agree()
    many.write("link.aud", 'table link { file: "l.csv" id: user_id, phone time: t verb linked_up }\n')
    assert many.agree() is None


def test_a_name_in_a_string_and_behind_an_escape_counts(many: Bench) -> None:
    many.write("new.aud", 'audience quoted = a1 AND NOT clicked("d3")\naudience hidden = clicked("d1\\u{33}")\n')
    many.agree()
    many.write("2.aud", many.read("2.aud").replace("to: ", "to: purchased(A) AND ", 1))
    again = many.agree()
    assert again is not None
    assert again.affected >= 2


def test_priorities_and_moves(many: Bench) -> None:
    many.write("new.aud", "priority [d3, d13]\nmoved was -> a1\n")
    many.agree()
    many.write("1.aud", many.read("1.aud").replace("to: ", "to: purchased(A) AND ", 1))
    assert many.agree() is None
    many.write("8.aud", many.read("8.aud") + "audience was = purchased(A)\n")
    assert many.agree() is None
    assert '"AUD0388"' in many.warm()[0]


def test_parameters_and_used_files(many: Bench) -> None:
    (many.root.parent / "common.aud").write_text("audience regulars = purchased(R)\n", "utf-8")
    many.write(
        "new.aud",
        'param window: duration = 30 days\nuse "../common.aud" as common\naudience r = common.regulars AND '
        "purchased(A, last window)\naudience among(p) = purchased(p)\naudience x = among(A)\n",
    )
    many.agree()
    many.write("2.aud", many.read("2.aud").replace("last ", "last 1", 1))
    assert many.agree() is not None
    (many.root.parent / "common.aud").write_text("audience regular = purchased(R)\n", "utf-8")
    assert many.agree() is None
    (many.root.parent / "common.aud").write_text("audience regulars = purchased(R) AND a1\n", "utf-8")
    many.agree()
    many.write("1.aud", many.read("1.aud").replace("audience a1 = ", "audience a1 = purchased(Z) AND ", 1))
    many.agree()
    many.write("1.aud", many.read("1.aud").replace("audience a1 = ", "audience a1x = ", 1))
    assert many.agree() is None


# --- any edit ---------------------------------------------------------------------------------------


def edits(random: Random, many: Bench) -> Iterator[None]:
    """Edits of every kind, one after the other, most of them taken back."""
    while True:
        path = random.choice(many.paths())
        before = many.read(path)
        lines = before.splitlines(keepends=True) or ["\n"]
        at, other = random.randrange(len(lines)), None
        match random.randrange(9):
            case 0:
                lines[at] = ""
            case 1:
                other = random.choice([name for name in many.paths() if name != path])
                other = (other, many.read(other))
                many.write(other[0], other[1] + lines.pop(at))
            case 2:
                lines.insert(at, f"# {random.random()} audience a1\n")
            case 3:
                lines[at] = lines[at].replace("a1", "a2").replace("last 1", "last 3")
            case 4:
                lines[at] = lines[at].replace("purchased(", "purchased(X")
            case 5:
                lines[at] = lines[at][: len(lines[at]) // 2] + "\n"
            case 6:
                lines.insert(at, statement(random.randrange(90, 99), random))
            case 7:
                lines[at] = lines[at].replace(" AND ", random.choice([" OR ", " EXCEPT ", " AND friends AND "]), 1)
            case _:
                lines[at] = lines[at].replace("audience a", "audience c", 1)
        many.write(path, "".join(lines))
        yield
        others = {path: before} if other is None else {path: before, other[0]: other[1]}
        if random.random() < 0.5 or '"errors": 0' not in many.said:
            for name, text in others.items():
                many.write(name, text)
            yield


@pytest.mark.parametrize("seed", range(6))
def test_any_edit_gives_what_a_cold_check_gives(many: Bench, seed: int) -> None:
    random, cheap = Random(seed), 0
    for _, _ in zip(range(60), edits(random, many), strict=False):
        cheap += many.agree() is not None
    assert cheap >= 20


# --- the files that it is kept in -------------------------------------------------------------------


def test_what_is_damaged_is_not_believed(many: Bench) -> None:
    many.warm()
    kept = next(Path(os.environ["XDG_CACHE_HOME"]).glob("audsql/rows-*.json"))
    whole = kept.read_bytes()
    for at in range(0, len(whole), max(1, len(whole) // 40)):
        for damaged in (whole[:at], whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :], b"[]", b"{}"):
            kept.write_bytes(damaged)
            assert incremental.recheck(many.root, load_project(many.root), "en") is None
    kept.write_bytes(whole)
    assert incremental.recheck(many.root, load_project(many.root), "en") is not None


def test_what_has_another_form_is_not_believed(many: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    many.warm()
    loaded = load_project(many.root)
    for value in ([], {}, {"rows": {"1.aud": [[1]]}, "told": []}, {"rows": 3}, "text", 7):
        monkeypatch.setattr(user_cache, "read", lambda *_, value=value: value)
        assert incremental.recheck(many.root, loaded, "en") is None
        assert remembered.recall(many.root, loaded, "en") is None

"""`audsql overlap` and `audsql eval --members`: how sets lie to each other over data, and who is in one of them."""

from __future__ import annotations

import json
import os
import random
import stat
import subprocess
from collections.abc import Iterable, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from audsql.cli.app import run

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "specs/schemas/overlap.schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
SETS: Mapping[str, set[int]] = {
    "a": {*range(1, 101)}, "b": {*range(51, 131)}, "c": {*range(91, 96), *range(200, 240)}, "d": {*range(300, 310)},
}  # fmt: skip
SPEC = """account shop { token: env("LINE_TOKEN")  provider: main }
delivery spring { sent: "request-1"  at: 2026-11-10 10:00  by: broadcast }
table members { file: "members.csv"  id: user_id, phone }
upload phones { file: "phones.txt"  id: phone }
upload mails { file: "mails.txt"  id: email }
"""


def user(number: int) -> str:
    return f"U{number:032x}"


def lines(ids: Iterable[str]) -> str:
    return "".join(f"{one}\n" for one in ids)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("CI", "GIT_DIR", "GIT_WORK_TREE", "AUDSQL_LANG", "AUDSQL_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("LANG", "LC_ALL"):
        monkeypatch.setenv(name, "C.UTF-8")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    root = tmp_path / "shop"
    root.mkdir()
    uploads = "".join(f'upload {name} {{ file: "{name}.txt"  id: user_id }}\n' for name in SETS)
    audiences = "".join(f"audience all_{name} = uploaded({name})\n" for name in SETS)
    (root / "shop.aud").write_text(SPEC + uploads + audiences, encoding="utf-8")
    for name, people in SETS.items():
        (root / f"{name}.txt").write_text(lines(user(one) for one in sorted(people, reverse=True)))
    (root / "members.csv").write_text(
        "user_id,phone\n" + lines(f"{user(one)},090{one:08}" for one in range(1, 41)) + f"{user(99)},09000000001\n"
    )
    (root / "phones.txt").write_text(lines(f"090{one:08}" for one in (1, 2, 999)))
    (root / "mails.txt").write_text("a@example.com\n")
    return root


def command(root: Path, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = run([*words, "--project", str(root)])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def document(root: Path, capsys: pytest.CaptureFixture[str], *words: str, exact: bool = True) -> dict[str, Any]:
    code, out, err = command(root, capsys, "overlap", *words, "--json", *(["--exact"] if exact else []))
    assert code == 0, err
    found: dict[str, Any] = json.loads(out)
    assert [one.message for one in VALIDATOR.iter_errors(found)] == []
    return found


def counts(rows: Iterable[Mapping[str, Any]]) -> dict[tuple[str, ...], int]:
    return {tuple(one["sets"]): one["people"]["count"] for one in rows}


def test_pairs_and_regions_are_what_python_counts(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = document(shop, capsys)
    names = [f"all_{name}" for name in SETS]
    assert {one["name"]: one["people"]["count"] for one in found["sets"]} == {
        f"all_{name}": len(people) for name, people in SETS.items()
    }
    assert counts(found["pairs"]) == {
        (f"all_{one}", f"all_{two}"): len(SETS[one] & SETS[two]) for one, two in combinations(SETS, 2)
    }
    assert counts(found["regions"]["listed"]) == {
        tuple(f"all_{name}" for name in inside): len(people) for inside, people in regions_of(SETS).items()
    }
    sizes = [one["people"]["count"] for one in found["regions"]["listed"]]
    assert (sizes, found["regions"]["more"]) == (sorted(sizes, reverse=True), None)
    first = found["pairs"][0]
    assert (first["share_of_first"]["value"], first["share_of_second"]["value"]) == (0.5, 0.625)
    assert first["jaccard"]["value"] == round(50 / 130, 4)
    assert names == [one["name"] for one in found["sets"]]


def regions_of(sets: Mapping[str, set[int]]) -> dict[tuple[str, ...], set[int]]:
    found: dict[tuple[str, ...], set[int]] = {}
    for person in set().union(*sets.values()):
        found.setdefault(tuple(name for name, people in sets.items() if person in people), set()).add(person)
    return found


@pytest.mark.parametrize("seed", range(4))
def test_random_sets(shop: Path, capsys: pytest.CaptureFixture[str], seed: int) -> None:
    rng = random.Random(seed)
    sets = {name: set(rng.sample(range(1, 60), rng.randrange(1, 40))) for name in SETS}
    for name, people in sets.items():
        (shop / f"{name}.txt").write_text(lines(map(user, sorted(people))))
    named = {f"uploaded({name})": people for name, people in sets.items()}
    found = document(shop, capsys, *named, "--top", "100")
    assert counts(found["regions"]["listed"]) == {inside: len(one) for inside, one in regions_of(named).items()}
    cut = document(shop, capsys, *named, "--top", "2")["regions"]
    assert len(cut["listed"]) == 2
    assert sum(one["people"]["count"] for one in (*cut["listed"], cut["more"])) == len(set().union(*sets.values()))


def test_names_and_expressions_mix(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = document(shop, capsys, "all_a", "uploaded(a)  EXCEPT  uploaded(b)", "uploaded(b)", "all_a")
    assert [one["name"] for one in found["sets"]] == ["all_a", "uploaded(a) EXCEPT uploaded(b)", "uploaded(b)"]
    assert [one["relation"] for one in found["pairs"]] == ["wider", "overlapping", "disjoint"]
    assert found["pairs"][2]["people"]["count"] == 0
    assert found["pairs"][0]["share_of_second"]["value"] == 1.0


def test_what_line_holds_has_bounds(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clicked, others = "uploaded(a) AND clicked(spring)", "uploaded(a) EXCEPT clicked(spring)"
    found = document(shop, capsys, clicked, others, "uploaded(b)", "friends")
    bounds = {tuple(one["sets"]): (one["people"]["low"], one["people"]["high"]) for one in found["pairs"]}
    assert bounds[(clicked, others)] == (0, 0), "whoever clicked is not among those who did not"
    assert bounds[(clicked, "uploaded(b)")] == (0, 50)
    assert found["sets"][3]["people"] == {"count": None, "exact": False, "low": 0, "high": None}
    regions = {tuple(one["sets"]): one["people"] for one in found["regions"]["listed"]}
    assert not [inside for inside in regions if clicked in inside and others in inside]
    assert (regions[("friends",)]["low"], regions[("friends",)]["high"]) == (0, None)
    text = command(shop, capsys, "overlap", clicked, "friends")[1]
    assert "cannot be known" in text
    assert "so some numbers are bounds" in text


def test_one_region_is_certain_though_line_holds_both(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Everybody of the list is in one of the two, whoever clicked."""
    one, two = "uploaded(a) AND clicked(spring)", "uploaded(a) EXCEPT clicked(spring)"
    found = document(shop, capsys, f"({one}) OR ({two})", "uploaded(b)")
    assert found["sets"][0]["people"]["count"] == 100
    assert found["pairs"][0]["people"]["count"] == 50


def test_other_ids_are_mapped_to_user_ids(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = document(shop, capsys, "uploaded(phones)", "uploaded(a)")
    # The first telephone is two users'; nobody has 999.
    assert [one["people"]["count"] for one in found["sets"]] == [3, 100]
    assert found["pairs"][0]["people"]["count"] == 3
    code, _, err = command(shop, capsys, "overlap", "uploaded(mails)", "uploaded(a)")
    assert (code, "AUD0342" in err) == (1, True)
    same = document(shop, capsys, "uploaded(phones)", "uploaded(phones) OR uploaded(phones)")
    assert [one["people"]["count"] for one in same["sets"]] == [3, 3]


def test_what_others_read_gives_no_small_group_away(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hidden = document(shop, capsys, exact=False)
    assert hidden["floor"] == 20
    assert {one["people"].get("shown") for one in hidden["regions"]["listed"]} == {None, "<20"}
    # 50 in a alone, 45 in a and b alone, 5 in all three.
    assert hidden["sets"][0]["people"]["shown"] == "96..114"
    exact = document(shop, capsys)
    for one, other in zip(hidden["pairs"], exact["pairs"], strict=True):
        assert one["people"]["low"] <= other["people"]["count"] <= one["people"]["high"]
    text = command(shop, capsys, "overlap", "--format", "markdown")[1]
    cells = {cell.strip() for line in text.splitlines() for cell in line.split("|")}
    assert {"45", "50", "\\<20"} <= cells
    assert not {"5", "10", "100"} & cells


@pytest.mark.parametrize("held", ["", " AND clicked(spring)", " EXCEPT opened(spring)"])
def test_small_groups_alone_change_nothing(shop: Path, capsys: pytest.CaptureFixture[str], held: str) -> None:
    """The output is the same to the byte whatever the small groups hold, bounds of what LINE holds as well."""
    outputs = []
    for few, fewer in ((range(191, 196), range(400, 419)), (range(180, 199), range(400, 402))):
        # Whoever leaves a small group stays outside all sets: the other groups keep their people.
        sets = {"a": {*range(1, 81), *few}, "b": {*range(51, 81), *few, *range(101, 131)}, "c": {*few, *fewer}}
        for name, people in sets.items():
            (shop / f"{name}.txt").write_text(lines(map(user, sorted(people))))
        words = ("overlap", f"uploaded(a){held}", "all_b", "all_c", "--as-of", "2026-11-21")
        outputs.append([command(shop, capsys, *words, "--format", one)[1] for one in ("json", "markdown")])
        assert command(shop, capsys, *words, "--json", "--exact")[1] not in outputs[-1]
    assert outputs[0] == outputs[1]


def test_the_terminal_is_exact_and_ci_is_not(
    shop: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("overlap", "all_a", "all_d")
    assert "<20" not in command(shop, capsys, *words)[1]
    monkeypatch.setenv("CI", "true")
    assert "<20" in command(shop, capsys, *words)[1]
    assert "<20" not in command(shop, capsys, *words, "--exact")[1]
    (shop / "audsql.toml").write_text("[privacy]\nfloor = 0\n")
    assert "<20" not in command(shop, capsys, *words, "--format", "markdown")[1]


def test_how_many_sets(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["all_a"], ["all_a", " all_a "], [f"uploaded(a) AND purchased{n}(*)" for n in range(101)]):
        code, _, err = command(shop, capsys, "overlap", *words)
        assert (code, "AUD0088" in err) == (1, True)
    many = [f'sample(uploaded(a), {share}%, seed: "s")' for share in range(10, 75, 5)]
    found = document(shop, capsys, *many)
    assert (found["regions"], found["regions_most_sets"], len(found["pairs"])) == (None, 12, 78)
    assert found["pairs"][0]["relation"] is None
    masked = document(shop, capsys, *many, exact=False)
    assert masked["regions"] is None
    assert "Regions are listed for at most 12" in command(shop, capsys, "overlap", *many)[1]


def test_too_many_groups_to_hide_small_ones(
    shop: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audsql.session.overlapping.PARTS_MAX", 3)
    code, _, err = command(shop, capsys, "overlap", "--format", "markdown")
    assert (code, "AUD0089" in err) == (1, True)


def test_errors_in_an_expression(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "AUD0201" in command(shop, capsys, "overlap", "all_a", "nobody_knows")[2]
    assert command(shop, capsys, "overlap", "all_a", "uploaded(")[0] == 1


def test_japanese(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = command(shop, capsys, "overlap", "all_a", "all_b", "--lang", "ja")[1]
    assert "二つに入っている人" in text
    assert "all_a のみ" in text


def test_user_text_stays_in_its_cell(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (shop / "shop.aud").open("a") as file:
        file.write("audience `x | <b> @all` = uploaded(a)\n")
    text = command(shop, capsys, "overlap", "all_a", "`x | <b> @all`", "--format", "markdown")[1]
    assert "<b>" not in text
    assert all(line.count("|") - line.count("\\|") in (0, 3, 6) for line in text.splitlines())


# --- eval --members ---------------------------------------------------------------------------------


def test_members_are_written_whole_sorted_and_private(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = shop.parent / "ids.txt"
    target.write_text("old\n")
    target.chmod(0o666)
    code, out, err = command(shop, capsys, "eval", "uploaded(a) EXCEPT uploaded(b)", "--members", str(target))
    assert (code, out.splitlines()[0], err) == (0, "50 people", "")
    assert target.read_bytes() == lines(user(one) for one in range(1, 51)).encode()
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert [path.name for path in target.parent.iterdir() if path.name != "shop"] == ["ids.txt"]
    assert user(1) not in out


def test_members_of_other_kinds(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = shop.parent / "ids.txt"
    assert command(shop, capsys, "eval", "uploaded(phones)", "--members", str(target))[0] == 0
    assert target.read_text().split() == ["09000000001", "09000000002", "09000000999"]
    assert command(shop, capsys, "eval", "uploaded(a) EXCEPT uploaded(a)", "--members", str(target))[0] in (0, 1)


@pytest.mark.parametrize(
    ("expression", "code"),
    [("uploaded(a) AND clicked(spring)", "AUD0043"), ("friends", "AUD0043"), ("NOT uploaded(a)", "AUD1090")],
)
def test_what_is_not_exact_is_not_listed(
    shop: Path, capsys: pytest.CaptureFixture[str], expression: str, code: str
) -> None:
    target = shop.parent / "ids.txt"
    target.write_text("old\n")
    exit_code, out, err = command(shop, capsys, "eval", expression, "--members", str(target))
    assert (exit_code, out, code in err) == (1, "", True)
    assert target.read_text() == "old\n"


def test_members_go_to_no_stream(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for place in ("-", os.devnull, str(shop)):
        code, out, err = command(shop, capsys, "eval", "uploaded(a)", "--members", place)
        assert (code, out, "AUD1091" in err) == (1, "", True), place
    assert not Path("-").exists()
    code, _, err = command(shop, capsys, "eval", "uploaded(a)", "--members", str(shop / "no" / "ids.txt"))
    assert (code, "AUD0044" in err) == (1, True)


def test_a_link_is_written_through(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target, link = shop.parent / "ids.txt", shop.parent / "link.txt"
    link.symlink_to(target)
    assert command(shop, capsys, "eval", "uploaded(d)", "--members", str(link))[0] == 0
    assert link.is_symlink()
    assert len(target.read_text().splitlines()) == 10


def test_git_would_take_it(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("eval", "uploaded(d)", "--members", str(shop / "ids.txt"))
    assert "AUD0087" not in command(shop, capsys, *words)[2]
    subprocess.run(["git", "init", "-q", str(shop)], check=True)
    code, _, err = command(shop, capsys, *words)
    assert (code, "AUD0087" in err) == (0, True)
    (shop / ".gitignore").write_text("ids.txt\n")
    assert "AUD0087" not in command(shop, capsys, *words)[2]
    subprocess.run(["git", "-C", str(shop), "add", "-f", "ids.txt"], check=True)
    assert "AUD0087" in command(shop, capsys, *words)[2], "it is in the index already"


def test_half_a_list_never_stays(
    shop: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from audsql.data.duckdb import DuckEngine

    def broken(*_: Any) -> Iterable[bytes]:
        yield b"Uhalf\n"
        raise KeyboardInterrupt

    monkeypatch.setattr(DuckEngine, "id_lines", broken)
    target = shop.parent / "ids.txt"
    target.write_text("old\n")
    assert command(shop, capsys, "eval", "uploaded(d)", "--members", str(target))[0] == 130
    assert [path.name for path in shop.parent.iterdir() if path.name != "shop"] == ["ids.txt"]
    assert target.read_text() == "old\n"

"""The catalogue: complete in both languages, and in step with every place that raises a code."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

import audsql
from audsql import catalog
from audsql.source import Source

PACKAGE = Path(audsql.__file__).parent
CODES = catalog.codes()
SPAN_ARGUMENTS = {"labels", "fixes"}


@dataclass(frozen=True)
class Raised:
    """One `error("AUDnnnn", …)` or `warning(…)` of the source. `code` is empty where it is not written out."""

    code: str
    kind: str
    facts: frozenset[str]
    labels: frozenset[str]
    place: str


@cache
def raised() -> tuple[Raised, ...]:
    """Every raising site. A function that passes its own `code` and `**facts` on is not one: its calls are."""
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}
    functions = [
        (function, path.relative_to(PACKAGE).as_posix())
        for path, tree in trees.items()
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
    ]
    passing = {function.name: _parameters(function) for function, _ in functions if _passes_on(function)}
    found: list[Raised] = []
    for function, path in functions:
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and node.args:
                found.extend(_raised(node, function, passing, f"{path}:{node.lineno}"))
    return tuple(dict.fromkeys(found))


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _is_raise(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Name) and call.func.id in ("error", "warning")


def _passes_on(function: ast.FunctionDef) -> bool:
    own = function.args.kwarg
    return own is not None and any(
        isinstance(node, ast.Call)
        and _is_raise(node)
        and any(keyword.arg is None and _name(keyword.value) == own.arg for keyword in node.keywords)
        for node in ast.walk(function)
    )


def _parameters(function: ast.FunctionDef) -> frozenset[str]:
    return frozenset(argument.arg for argument in (*function.args.args, *function.args.kwonlyargs))


def _raised(
    call: ast.Call, function: ast.FunctionDef, passing: dict[str, frozenset[str]], place: str
) -> Iterator[Raised]:
    name = _name(call.func)
    if (not _is_raise(call) and name not in passing) or (_is_raise(call) and function.name in passing):
        return
    codes = _codes(call.args[0])
    if name in passing and codes == [""]:
        return
    facts: set[str] = set()
    labels: set[str] = set()
    for keyword in call.keywords:
        if keyword.arg is None:
            facts |= _unpacked(keyword.value, function)
        elif keyword.arg == "labels":
            labels |= _label_keys(keyword.value)
        elif keyword.arg not in SPAN_ARGUMENTS | passing.get(name, frozenset()):
            facts.add(keyword.arg)
    for code in codes:
        yield Raised(code, name if _is_raise(call) else "", frozenset(facts), frozenset(labels), place)


def _unpacked(value: ast.expr, function: ast.FunctionDef) -> set[str]:
    """The keys of `**facts` where `facts` is a dict written out in the same function; else `**`."""
    for node in ast.walk(function):
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        named = any(isinstance(target, ast.Name) and target.id == _name(value) for target in targets)
        if named and isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Dict):
            return {str(key.value) for key in node.value.keys if isinstance(key, ast.Constant)}
    return {"**"}


def _label_keys(value: ast.expr) -> set[str]:
    labels = [node for node in ast.walk(value) if isinstance(node, ast.Call) and _name(node.func) == "Label"]
    keys = [node.args[1] for node in labels if len(node.args) > 1]
    return {str(key.value) for key in keys if isinstance(key, ast.Constant)}


def _codes(argument: ast.expr) -> list[str]:
    """The codes of a first argument: a literal, or a choice between literals."""
    if isinstance(argument, ast.IfExp):
        return _codes(argument.body) + _codes(argument.orelse)
    return [str(argument.value)] if isinstance(argument, ast.Constant) else [""]


@pytest.mark.parametrize("code", CODES)
def test_entry_is_whole(code: str) -> None:
    entry = catalog.entry(code)
    assert entry.kind in ("error", "warning", "info")
    assert entry.since
    assert entry.rule
    assert set(entry.texts) == {"en", "ja"}
    assert len(set(entry.args)) == len(entry.args)
    for language, texts in entry.texts.items():
        assert texts.title.strip() == texts.title, language
        assert not texts.title.endswith((".", "。")), language
        assert texts.explain.strip(), language


@pytest.mark.parametrize("code", CODES)
def test_languages_have_the_same_texts(code: str) -> None:
    english, japanese = (catalog.entry(code).texts[language] for language in ("en", "ja"))
    assert catalog.placeholders(english.title) == catalog.placeholders(japanese.title)
    for part in ("labels", "notes", "helps", "fixes"):
        left, right = getattr(english, part), getattr(japanese, part)
        assert list(left) == list(right), part
        for key in left:
            assert catalog.placeholders(left[key]) == catalog.placeholders(right[key]), f"{part} {key}"


@pytest.mark.parametrize("code", CODES)
def test_places_name_facts(code: str) -> None:
    entry = catalog.entry(code)
    for texts in entry.texts.values():
        everything = [texts.title, *texts.labels.values(), *texts.notes.values(), *texts.helps.values()]
        for text in [*everything, *texts.fixes.values()]:
            assert catalog.placeholders(text) <= set(entry.args), text
        for key in (*texts.notes, *texts.helps):
            assert key in ("p", "else", *entry.args), f"`{key}` is neither p, else nor a fact"


@pytest.mark.parametrize("code", CODES)
def test_english_title_is_a_phrase(code: str) -> None:
    title = catalog.entry(code).texts["en"].title
    first = title.split()[0]
    assert title[0] in "`{" or title[0].islower() or first.isupper() or "LINE" in first, title


def test_every_raise_fits_its_entry() -> None:
    wrong = []
    for one in raised():
        if one.code == "":
            if not any(_could_be(one, code) for code in CODES):
                wrong.append(f"{one.place}: no code has the facts {sorted(one.facts)}")
            continue
        if one.code not in CODES:
            wrong.append(f"{one.place}: {one.code} has no file")
            continue
        entry = catalog.entry(one.code)
        if one.facts != set(entry.args):
            wrong.append(f"{one.place}: {one.code} gives {sorted(one.facts)}, its file says {sorted(entry.args)}")
        if one.kind not in (entry.kind, ""):
            wrong.append(f"{one.place}: {one.code} is raised as {one.kind}, its file says {entry.kind}")
        if one.labels - set(entry.texts["en"].labels):
            wrong.append(f"{one.place}: {one.code} has no label {sorted(one.labels)}")
    assert not wrong, "\n".join(wrong)


def _could_be(one: Raised, code: str) -> bool:
    """Whether a site that chooses its code as it runs can raise this one."""
    entry = catalog.entry(code)
    return one.code == "" and one.kind == entry.kind and one.facts == set(entry.args)


def test_every_entry_is_raised() -> None:
    written_out = {one.code for one in raised()}
    chosen = [one for one in raised() if one.code == ""]
    never = [code for code in CODES if code not in written_out and not any(_could_be(one, code) for one in chosen)]
    assert never == []


def test_the_words_of_a_language_read_by_themselves() -> None:
    assert {one: catalog._words_of(one) for one in catalog.LANGUAGES} == catalog._words()


def test_languages_have_the_same_words() -> None:
    def keys(table: object, prefix: str = "") -> dict[str, frozenset[str]]:
        if isinstance(table, str):
            return {prefix: catalog.placeholders(table)}
        assert isinstance(table, dict)
        return {key: found for name, inner in table.items() for key, found in keys(inner, f"{prefix}.{name}").items()}

    words = catalog._words()
    assert keys(words["en"]) == keys(words["ja"])


def test_missing_translation_falls_back_to_english() -> None:
    entry = catalog.entry("AUD0001")
    assert entry.text("fr") == entry.texts["en"]
    assert catalog.word("note", "fr") == "note"


def test_facts_as_text() -> None:
    facts = {"n": 1234567, "ratio": 0.5, "none": None, "many": ("a", "b"), "yes": True, "text": "x"}
    text = catalog.render_text("{n} {ratio} {none}{many} {yes} {text} {other} { token: x }", facts)
    assert text == "1,234,567 0.5 a, b true x {other} { token: x }"


def test_lines_are_shown_for_given_facts_only() -> None:
    lines = {"p": "always", "near": "near {near}", "zero": "zero {zero}"}
    assert list(catalog.shown_lines(lines, {"near": None, "zero": 0})) == ["always", "zero 0"]
    assert list(catalog.shown_lines(lines, {"near": "x", "zero": False})) == ["always", "near x"]
    lines = {"near": "near {near}", "else": "otherwise"}
    assert list(catalog.shown_lines(lines, {"near": "x"})) == ["near x"]
    assert list(catalog.shown_lines(lines, {"near": None})) == ["otherwise"]


# --- samples ----------------------------------------------------------------------------------------

LANGUAGE_RANGES = ("AUD01", "AUD02", "AUD03", "AUD04", "AUD05", "AUD09")
# Limits whose smallest sample would be too long to read: tests/syntax/test_limits.py and
# tests/meaning/test_flows.py make them.
LIMIT_CODES = ("AUD0119", "AUD0120", "AUD0121", "AUD0260")
# Said of a command line or a file of values, whatever the text: tests/cli/test_variables.py makes it.
OUTSIDE_CODES = ("AUD0248",)
# Told by `lint` alone.
LINT_CODES = ("AUD0510", "AUD0549")
LANGUAGE_CODES = [
    code for code in CODES if code.startswith(LANGUAGE_RANGES) and code not in (*LIMIT_CODES, *OUTSIDE_CODES)
]


@pytest.mark.parametrize("code", LANGUAGE_CODES)
def test_language_codes_have_samples(code: str) -> None:
    assert catalog.entry(code).sample is not None


@pytest.mark.parametrize("code", [code for code in LANGUAGE_CODES if catalog.entry(code).sample])
def test_samples(code: str) -> None:
    sample = catalog.entry(code).sample
    assert sample is not None
    found = linted if LINT_CODES[0] <= code <= LINT_CODES[1] else found_in
    assert found(sample.bad, sample.files) == {code}
    assert found(sample.good, sample.files) == set()


def linted(text: str, others: Mapping[str, str]) -> set[str]:
    from audsql.session.linting import lint_texts

    return {one.code for one in lint_texts({"spec.aud": text, **others})}


def found_in(text: str, others: Mapping[str, str]) -> set[str]:
    """The codes of a text: what `check` finds, and where that is nothing, what `test` finds."""
    from audsql import session, testing
    from audsql.meaning.lower import analyse
    from audsql.syntax.parse import parse_file

    found = session.check_texts({"spec.aud": text, **others})
    if not found:
        file, _ = parse_file(Source("spec.aud", text))
        analysis, _ = analyse((file,), name="spec", timezone="Asia/Tokyo")
        found = tuple(one for result in testing.run_tests(analysis) for one in result.diagnostics)
    return {one.code for one in found}

"""Whole projects as text: everything that they mean and everything that is told of it.

What parsing tells is left out. A project is written as it is analysed, field by field, places as line and column;
what a field has by default is left out. Nothing is summed up, so that a difference names the field that changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import MISSING, dataclass, fields, is_dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from meaning_project import SHOP
from spec_cases import RELATIONS, all_cases, questions

from audsql import catalog
from audsql.diag import Bag, Diagnostic, has_errors
from audsql.meaning import ir
from audsql.meaning.algebra import Undecided
from audsql.meaning.compare import compare
from audsql.meaning.expand import Inputs
from audsql.meaning.lints import LINTS, found_by, subject_of
from audsql.meaning.lower import Analysis, analyse, lower_expression
from audsql.meaning.minimal import minimal
from audsql.meaning.relation import relation
from audsql.meaning.words import arms_of, to_words, verbs_of
from audsql.session.uses import parse_uses
from audsql.session.variables import file_values
from audsql.source import Source, Span
from audsql.syntax import ast
from audsql.syntax.parse import parse_expression, parse_file

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FOLDER = HERE / "snapshots"
VALUES = "vars.toml"
LINE_MAX = 110
# Bigger ones are given by their key.
NODES_SHOWN_MAX = 60


@dataclass(frozen=True)
class Subject:
    """A project of these files; `expressions` are read in it, `pairs` related, `after` is
    what the project becomes; `group` names the file of its snapshot."""

    group: str
    id: str
    files: Mapping[str, str]
    expressions: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    after: str = ""


def subjects() -> Iterator[Subject]:
    """The cases of the specification, the samples of the catalogue, the examples, and the texts beside this module."""
    for case in all_cases():
        asked = [one.request for one in questions(case)]
        if case.kind in RELATIONS:
            pairs = tuple((one["left"], one["right"]) for one in asked)
            yield Subject(case.page.removesuffix(".md"), case.id, asked[0]["files"], (), pairs)
        else:
            listed = tuple(one["expression"] for one in asked if one["kind"] == "members")
            yield Subject(case.page.removesuffix(".md"), case.id, asked[0]["files"], listed)
    for code in catalog.codes():
        sample = catalog.entry(code).sample
        if sample is not None and sample.bad:
            group = f"samples-{code[3:5]}xx"
            yield Subject(group, f"{code} bad", {"spec.aud": sample.bad, **sample.files})
            yield Subject(group, f"{code} good", {"spec.aud": sample.good, **sample.files})
    for folder in sorted((ROOT / "examples").iterdir()):
        texts = {
            path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in folder.rglob("*.aud")
        }
        if texts:
            yield Subject("examples", folder.name, texts)
    for path in sorted((HERE / "projects").glob("*.txt")):
        for id, text in sections(path.read_text(encoding="utf-8")):
            parts = sections(text, "-- ") or [("spec.aud", text)]
            files = ({} if id.endswith(" alone") else {"shop.aud": SHOP}) | {
                name.removesuffix(" --"): part for name, part in parts
            }
            lines = tuple(line for line in files.pop("expressions", "").splitlines() if line)
            pairs = [line.split(" ~ ") for line in files.pop("pairs", "").splitlines() if line]
            after = files.pop("after", "")
            yield Subject(path.stem, id, files, lines, tuple((left, right) for left, right in pairs), after)


def sections(text: str, mark: str = "=== ") -> list[tuple[str, str]]:
    """(title, text) of each part below a line that begins with the mark; the main file stands above the first."""
    found: list[tuple[str, list[str]]] = []
    above: list[str] = []
    for line in text.splitlines(keepends=True):
        if line.startswith(mark):
            found.append((line.removeprefix(mark).strip(), []))
        else:
            (found[-1][1] if found else above).append(line)
    if found and "".join(above).strip() and mark == "-- ":
        found.insert(0, ("spec.aud", above))
    return [(title, "".join(lines)) for title, lines in found]


# --- analysis ---------------------------------------------------------------------------------------


def snapshot(subject: Subject) -> str:
    """Everything about the project of the subject."""
    texts = subject.files
    own = [path for path in sorted(texts) if path.endswith(".aud") and not path.startswith("../")]
    trees = [parse_file(Source(path, texts[path]))[0] for path in own]
    uses = parse_uses(trees, lambda path: (texts.get(path), ()), lambda path: path)
    given = tuple(file_values(texts[VALUES], VALUES, Bag())) if VALUES in texts else ()
    inputs = Inputs(given, uses.used, uses.files)
    analysis, found = analyse(tuple(trees), name="spec", timezone="Asia/Tokyo", inputs=inputs)
    shown = Shown({path: Source(path, text) for path, text in texts.items()}, analysis)
    lines = [line for one in found for line in shown.diagnostic(one)]
    lines += shown.project()
    for test in analysis.tests:
        lines += shown.dump(test)
    if analysis.expanded.unit is not None:
        written = {id(statement) for tree in trees for statement in tree.statements}
        lines += [f"expanded {line}" for file in analysis.expanded.files for line in new_statements(file, written)]
        lines += [f"folder of {key} = {value!r}" for key, value in sorted(analysis.expanded.folders.items())]
        lines += [f"uncalled {shown.place(one.span)}" for one in analysis.expanded.uncalled]
    if not has_errors(found):
        lints = found_by(LINTS, subject_of(analysis, tuple(trees)))
        lines += [f"lint {line}" for one in lints for line in shown.diagnostic(one)]
    for text in subject.expressions:
        lines += shown.read(text)[1]
    for left, right in subject.pairs:
        lines += shown.related(left, right)
    if subject.after:
        lines += changes(analysis.project, subject)
    return "\n".join(lines) + "\n"


def changes(before: ir.Project, subject: Subject) -> Iterator[str]:
    """What became of a project, there and back."""
    texts = {path: text for path, text in subject.files.items() if path != "spec.aud"} | {"spec.aud": subject.after}
    trees = tuple(parse_file(Source(path, text))[0] for path, text in sorted(texts.items()))
    analysis = analyse(trees, name="spec", timezone="UTC")[0]
    shown = Shown({}, analysis)
    for title, found in (
        ("changes", compare(before, analysis.project)),
        ("back", compare(analysis.project, before)),
        ("everything", compare(before, analysis.project, everything=True)),
    ):
        yield f"{title}: {found.unchanged} unchanged, rewritten {found.rewritten}"
        for one in found.changes:
            yield from shown.dump(one)


@dataclass(frozen=True)
class Shown:
    sources: Mapping[str, Source]
    analysis: Analysis

    # --- diagnostics --------------------------------------------------------------------------------

    def diagnostic(self, one: Diagnostic) -> Iterator[str]:
        facts = "".join(f" {name}={value!r}" for name, value in one.facts)
        yield f"{one.code} {one.severity} {self.place(one.span)}{self.excerpt(one.span)}{facts}"
        origin = getattr(one.span, "origin", None)
        if origin is not None:
            yield f"  copied by {origin.text} {self.place(origin.span)}"
        for label in one.labels:
            yield f"  label {label.key} {self.place(label.span)}{self.excerpt(label.span)}"
        for fix in one.fixes:
            edits = ", ".join(f"{self.place(edit.span)} {edit.text!r}" for edit in fix.edits)
            yield f"  {'fix' if fix.safe else 'unsafe fix'} {fix.key} {edits}"

    def place(self, span: Span | None) -> str:
        source = self.sources.get(span.path) if span else None
        if span is None or source is None:
            return "-"
        start, end = source.position(span.start), source.position(span.end)
        path = "" if span.path == "spec.aud" else f"{span.path}:"
        return f"{path}{start.line}:{start.column}-{end.line}:{end.column}"

    def excerpt(self, span: Span | None) -> str:
        source = self.sources.get(span.path) if span else None
        text = source.text[span.start : span.end] if span and source else ""
        return f" `{text}`" if len(text) <= 40 and "\n" not in text else ""

    # --- values -------------------------------------------------------------------------------------

    def project(self) -> list[str]:
        """The things of the project, kind by kind; `name` and `timezone` are always the same."""
        project = self.analysis.project
        kinds = [getattr(project, field.name) for field in fields(project)[2:]]
        return [line for kind in kinds for one in kind for line in self.dump(one)]

    def dump(self, value: object, name: str = "") -> list[str]:
        """The lines of a value, the first with its name."""
        before = f"{name} = " if name else ""
        if isinstance(value, ir.Constant | ir.Leaf | ir.Not | ir.And | ir.Or):
            return [f"{before}{self.words(value)}", *(f"  {line}" for line in self.expression(value))]
        if is_dataclass(value) and not isinstance(value, type | Span):
            parts = [
                line
                for field in fields(value)
                if field.repr and not is_default(getattr(value, field.name), field)
                for line in self.dump(getattr(value, field.name), field.name)
            ]
            return joined(f"{before}{type(value).__name__}", parts)
        if isinstance(value, tuple | list) and not all(isinstance(one, str | int | None) for one in value):
            return joined(f"{before}tuple", [line for one in value for line in self.dump(one)])
        return [f"{before}{self.scalar(value)}"]

    def scalar(self, value: object) -> str:
        match value:
            case Span():
                return self.place(value)
            case Decimal() | datetime():
                return str(value)
            case Set():
                return repr(sorted(value))
            case _:
                return repr(value)

    # --- expressions --------------------------------------------------------------------------------

    def words(self, expression: ir.Expression) -> str:
        return to_words(expression, verbs_of(self.analysis.project), arms_of(self.analysis.project))

    def expression(self, expression: ir.Expression) -> Iterator[str]:
        """The key, or what a long one is made of; the shortest form where it is another."""
        if not expression.key.startswith("#") or len(ir.nodes_of(expression)) > NODES_SHOWN_MAX:
            yield expression.key
        else:
            yield from (node.key for node in ir.nodes_of(expression))
        try:
            least = minimal(expression)
        except Undecided:
            yield "undecided"
            return
        if least != expression:
            yield f"shortest: {self.words(least)}"

    def read(self, text: str) -> tuple[ir.Expression | None, list[str]]:
        tree, told = parse_expression(text)
        if tree is None:
            return None, [f"read {text}", *(f"  {one.code}" for one in told)]
        expression, found = lower_expression(tree, self.analysis)
        own = Shown({**self.sources, tree.span.path: Source(tree.span.path, text)}, self.analysis)
        lines = [f"  {line}" for one in (*told, *found) for line in own.diagnostic(one)]
        if not has_errors((*told, *found)):
            lines += [f"  {line}" for line in self.dump(expression)]
        return expression, [f"read {text}", *lines]

    def related(self, left: str, right: str) -> list[str]:
        (one, lines), (other, more) = self.read(left), self.read(right)
        if one is None or other is None:
            return [*lines, *more]
        found = relation(one, other)
        regions = [("left only", found.left_only), ("right only", found.right_only), ("both", found.both)]
        told = [f"  {name}: {sorted(keys)}" for name, keys in regions if keys is not None]
        return [*lines, *more, found.kind, *told]


def new_statements(file: ast.File, written: Set[int]) -> Iterator[str]:
    """The statements that expansion made, each in one line."""
    for statement in file.statements:
        if id(statement) not in written:
            yield shown_tree(statement)


def is_default(value: object, field: object) -> bool:
    default = getattr(field, "default", MISSING)
    return default is not MISSING and type(default) is type(value) and default == value


def joined(title: str, parts: list[str]) -> list[str]:
    """On one line where it is short enough."""
    line = f"{title}({', '.join(parts)})"
    if len(line) <= LINE_MAX and not any(part.startswith("  ") for part in parts):
        return [line]
    return [title, *(f"  {part}" for part in parts)]


def shown_tree(value: object) -> str:
    """A tree in one line, its places as offsets."""
    if isinstance(value, Span):
        origin = getattr(value, "origin", None)
        copied = f"<{origin.text}" if origin is not None else ""
        return f"{value.path if value.path != 'spec.aud' else ''}{value.start}-{value.end}{copied}"
    if is_dataclass(value) and not isinstance(value, type):
        parts = [getattr(value, field.name) for field in fields(value)]
        return f"{type(value).__name__}({', '.join(shown_tree(part) for part in parts)})"
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(shown_tree, value))}]"
    return str(value) if isinstance(value, Decimal | datetime) else repr(value)

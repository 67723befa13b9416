"""From a folder to meaning: reading, parsing, analysing, checking."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audsql.config import Config, Loaded, load_project
from audsql.diag import Bag, Diagnostic, error, has_errors
from audsql.meaning import ir
from audsql.near import nearest
from audsql.records import dataclass
from audsql.session.variables import NO_VARIABLES, Variables, file_values
from audsql.source import Source, SourceMap, Span

if TYPE_CHECKING:
    from audsql.compile.program import Program
    from audsql.meaning.expand import Inputs
    from audsql.meaning.lower import Analysis
    from audsql.syntax import ast

__all__ = [
    "Opened",
    "check",
    "check_text",
    "check_texts",
    "compiled",
    "messages_of",
    "open_project",
    "run_tests",
    "spec_digest",
]

STATEMENTS_MAX = 100_000
_VALUES = "vars.toml"


@dataclass(frozen=True, slots=True)
class Opened:
    """A project folder as read: `diagnostics` are those of reading and parsing, `check` adds the rest.

    `kept_at`: the folder of data files, state and cache, where that is another one than that of the specs. `tokens`: by
    account those of a simulator that is thrown away, in place of what the environment says.
    """

    root: Path
    config: Config | None
    sources: SourceMap
    texts: SourceMap
    analysis: Analysis | None
    diagnostics: tuple[Diagnostic, ...]
    findings: tuple[Diagnostic, ...] = ()
    files: tuple[ast.File, ...] = ()
    inputs: Inputs | None = None
    looked_at: tuple[str, ...] = ()
    compiled_once: list[tuple[Program, tuple[Diagnostic, ...]]] = field(default_factory=list, repr=False, compare=False)
    aside: Path | None = None
    kept_at: Path | None = None
    tokens: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def home(self) -> Path:
        """The folder that paths of data files, state and world are relative to."""
        return self.kept_at or self.root

    @property
    def folder(self) -> Path:
        """Where everything is written that stands beside the specs: cache, logs, backups; `aside` where given."""
        return self.aside or self.home / ".audsql"

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    @property
    def environment(self) -> str:
        return (self.config.environment if self.config else None) or "default"


def open_project(
    root: Path, env: str | None = None, loaded: Loaded | None = None, variables: Variables = NO_VARIABLES
) -> Opened:
    """Read, parse and analyse a project folder. Never raises for what the folder holds.

    `loaded`: the folder's texts where they have been read already, from the same folder and environment.
    `variables`: what the project's parameters are given. `Opened.sources` holds the used files as well, and
    `looked_at` their paths, found or not.
    """
    # Not above: a plan of what was planned before reads no text.
    from audsql.meaning.expand import Inputs
    from audsql.meaning.lower import analyse
    from audsql.session.uses import load_uses
    from audsql.syntax.parse import parse_file

    loaded = loaded or load_project(root, env)
    config, bag = loaded.config, Bag()
    bag.extend(loaded.diagnostics)
    bag.extend(variables.diagnostics)
    if config is None:
        return Opened(root, None, loaded.sources, loaded.texts, None, bag.sorted())
    files = []
    for source in loaded.sources:
        file, problems = parse_file(source)
        files.append(file)
        bag.extend(problems)
    uses = load_uses(root, files)
    bag.extend(uses.bag.items)
    sources = SourceMap.of([*loaded.sources, *uses.sources]) if uses.sources else loaded.sources
    texts = SourceMap.of([*loaded.texts, *uses.sources]) if uses.sources else loaded.texts
    looked_at = tuple(uses.looked_at)
    count = sum(len(file.statements) for file in (*files, *uses.files.values()))
    if count > STATEMENTS_MAX:
        bag.add(error("AUD0006", None, count=count, limit=STATEMENTS_MAX))
        return Opened(root, config, sources, texts, None, bag.sorted(), looked_at=looked_at)
    inputs = Inputs(variables.given, uses.used, uses.files)
    analysis, findings = analyse(tuple(files), name=config.name, timezone=config.timezone, inputs=inputs)
    findings = tuple(one for one in findings if one.code not in config.lints_ignored)
    return Opened(root, config, sources, texts, analysis, bag.sorted(), findings, tuple(files), inputs, looked_at)


def check(opened: Opened, *, compiles: bool = False) -> tuple[Diagnostic, ...]:
    """Everything that is wrong with the specs: syntax, meaning, messages, and what LINE cannot do.

    `compiles`: all deliveries are compiled for it, as for who goes on to `compiled`: to say what is wrong, one of each
    shape would do.
    """
    bag = Bag()
    bag.extend(opened.diagnostics)
    bag.extend(opened.findings)
    if opened.analysis is not None:
        bag.extend(messages_of(opened)[1])
        bag.extend(_outside(opened.analysis.project))
        bag.extend(_unknown_connections(opened.analysis.project, opened.config))
        if not has_errors(bag.items):
            from audsql.compile.project import check_project

            bag.extend(compiled(opened)[1] if compiles else check_project(opened.analysis.project))
    return _causes(bag)


def _causes(bag: Bag) -> tuple[Diagnostic, ...]:
    """Without what follows from an error of spelling: a set or a value that has one inside is not judged."""
    found = bag.sorted()
    places: dict[str, list[Span]] = {}
    for one in found:
        if one.span is not None and one.code.startswith("AUD01") and one.severity == "error":
            places.setdefault(one.span.path, []).append(one.span)

    def follows(one: Diagnostic) -> bool:
        span = one.span
        if span is None or not one.code.startswith(("AUD02", "AUD03")):
            return False
        return any(span.start <= inner.start and inner.end <= span.end for inner in places.get(span.path, ()))

    return tuple(one for one in found if not follows(one)) if places else found


def check_text(text: str) -> tuple[Diagnostic, ...]:
    """The diagnostics of one text as a whole project, its tests run, every file that it names taken as there."""
    return check_texts({"spec.aud": text})


def check_texts(texts: Mapping[str, str]) -> tuple[Diagnostic, ...]:
    """As `check_text`, for a project of several texts by path.

    A path that begins with `../` is outside the project: it counts where it is used. `vars.toml` holds the
    values of parameters, as a file of `--var-file`.
    """
    from audsql.compile.project import compile_project
    from audsql.meaning.expand import Inputs
    from audsql.meaning.lower import analyse
    from audsql.session.uses import parse_uses
    from audsql.syntax.parse import parse_file
    from audsql.testing import run_tests as run

    bag = Bag()
    files = []
    for path in sorted(texts):
        if path != _VALUES and not path.startswith("../"):
            file, problems = parse_file(Source(path, texts[path]))
            files.append(file)
            bag.extend(problems)
    uses = parse_uses(files, lambda path: (texts.get(path), ()), lambda path: path)
    bag.extend(uses.bag.items)
    given = tuple(file_values(texts[_VALUES], _VALUES, bag)) if _VALUES in texts else ()
    inputs = Inputs(given, uses.used, uses.files)
    analysis, findings = analyse(tuple(files), name="spec", timezone="Asia/Tokyo", inputs=inputs)
    bag.extend(findings)
    bag.extend(_outside(analysis.project))
    if not has_errors(bag.items):
        bag.extend(compile_project(analysis.project)[1])
    if not has_errors(bag.items):
        bag.extend(diagnostic for result in run(analysis) for diagnostic in result.diagnostics)
    return _causes(bag)


def _unknown_connections(project: ir.Project, config: Config | None) -> Iterator[Diagnostic]:
    """Queries of a database that `audsql.toml` does not name."""
    known = tuple(sorted(config.connections)) if config else ()
    for table in project.tables:
        name = table.connection
        if table.query and name not in known:
            near = nearest(name, known)
            yield error("AUD0090", table.span, table=table.name, name=name, near=near, known=known)


def _outside(project: ir.Project) -> Iterator[Diagnostic]:
    """Paths that cannot lie below the folder that they are relative to, whatever files there are."""
    from audsql.data.content import escapes

    sources: tuple[ir.UploadSource | ir.TableSource, ...] = (*project.uploads, *project.tables)
    for source in sources:
        if not getattr(source, "query", "") and escapes(source.file):
            yield error("AUD1003", source.span, file=source.file)
    for message in project.messages:
        if message.file is not None and escapes(message.file):
            yield error("AUD1120", message.span, message=message.name, file=message.file, inside=False)


def compiled(opened: Opened) -> tuple[Program, tuple[Diagnostic, ...]]:
    """All deliveries compiled: once for an opened project, however often it is asked for."""
    from audsql.compile.project import compile_project

    assert opened.analysis is not None
    if not opened.compiled_once:
        opened.compiled_once.append(compile_project(opened.analysis.project))
    return opened.compiled_once[0]


def messages_of(opened: Opened) -> tuple[dict[str, tuple[dict[str, Any], ...]], tuple[Diagnostic, ...]]:
    """LINE message objects by message name."""
    from audsql.line.filling import check_filling, objects_of_template
    from audsql.line.messages import check_message, coupon_message, read_messages, text_message
    from audsql.plan.coupon_form import named_message

    assert opened.analysis is not None
    found: dict[str, tuple[dict[str, Any], ...]] = {}
    problems: list[Diagnostic] = []
    for message in opened.analysis.project.messages:
        if message.coupon_name is not None:
            named = named_message(message.coupon_name, opened.analysis.project)
            found[message.name] = () if named is None else (named,)
        elif message.text is not None or message.coupon is not None:
            plain = text_message(message.text) if message.text is not None else coupon_message(message.coupon or "")
            found[message.name] = (plain,)
            problems.extend(check_message(found[message.name][0], message.span, message.name))
        elif message.template is not None:
            found[message.name] = objects_of_template(message)
        elif message.file is not None:
            content, diagnostics = _read_inside(opened, message)
            problems.extend(diagnostics)
            if content is not None:
                judged = (lambda raw, message=message: check_filling(message, raw)) if message.personal else None
                objects, diagnostics = read_messages(content, message.span, message.name, judged)
                found[message.name] = objects
                problems.extend(diagnostics)
    return found, tuple(problems)


def _read_inside(opened: Opened, message: ir.Message) -> tuple[bytes | None, tuple[Diagnostic, ...]]:
    """The bytes of a message's file; one outside the project, or the folder of the used file, is refused."""
    folder, file = opened.root / message.folder, message.file or ""
    path = folder / file
    inside = not Path(file).is_absolute() and path.resolve().is_relative_to(folder.resolve())
    missing = error("AUD1120", message.span, message=message.name, file=file, inside=inside)
    if not inside or not path.is_file():
        return None, (missing,)
    try:
        return path.read_bytes(), ()
    except OSError:
        return None, (missing,)


def run_tests(opened: Opened) -> tuple[dict[str, Any], tuple[Diagnostic, ...]]:
    """Run the `test` statements. Nothing is read but the specs."""
    from audsql.testing import run_tests as run

    problems = check(opened)
    if opened.analysis is None or has_errors(problems):
        return {"kind": "audsql.tests", "tests": [], "summary": {"passed": 0, "failed": 0}}, problems
    results = run(opened.analysis)
    tests = [
        {"title": one.title, "status": "passed" if one.ok else "failed", "codes": [d.code for d in one.diagnostics]}
        for one in results
    ]
    failures = tuple(diagnostic for one in results for diagnostic in one.diagnostics)
    passed = sum(one.ok for one in results)
    summary = {"passed": passed, "failed": len(results) - passed}
    return {"kind": "audsql.tests", "tests": tests, "summary": summary}, (*problems, *failures)


def spec_digest(opened: Opened, messages: Mapping[str, Any]) -> str:
    """Of all that a plan was made from besides data: the specs, the messages, the zone."""
    from audsql.plan.document import digest_of

    zone = opened.config.timezone if opened.config else ""
    parts = {"specs": opened.sources.digest, "messages": {k: list(v) for k, v in messages.items()}, "zone": zone}
    values: tuple[tuple[str, str], ...] = ()
    if opened.inputs is not None and opened.inputs.given:
        from audsql.meaning.expand import values_given

        values = values_given(opened.files, opened.inputs)
    return digest_of({**parts, "values": [list(one) for one in values]} if values else parts)

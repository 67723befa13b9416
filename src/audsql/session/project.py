"""From a folder to meaning: reading, parsing, analysing, checking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audsql.config import Config, Loaded, load_project
from audsql.diag import Bag, Diagnostic, error, has_errors
from audsql.meaning.lower import Analysis, analyse
from audsql.source import Source, SourceMap, Span
from audsql.syntax import ast
from audsql.syntax.parse import parse_file

if TYPE_CHECKING:
    from audsql.compile.program import Program

__all__ = ["Opened", "check", "check_text", "compiled", "messages_of", "open_project", "run_tests", "spec_digest"]

STATEMENTS_MAX = 100_000


@dataclass(frozen=True, slots=True)
class Opened:
    """A project folder as read: `diagnostics` are those of reading and parsing, `check` adds the rest."""

    root: Path
    config: Config | None
    sources: SourceMap
    texts: SourceMap
    analysis: Analysis | None
    diagnostics: tuple[Diagnostic, ...]
    findings: tuple[Diagnostic, ...] = ()
    files: tuple[ast.File, ...] = ()

    @property
    def cache(self) -> Path:
        return self.root / ".audsql" / "cache"

    @property
    def environment(self) -> str:
        return (self.config.environment if self.config else None) or "default"


def open_project(root: Path, env: str | None = None, loaded: Loaded | None = None) -> Opened:
    """Read, parse and analyse a project folder. Never raises for what the folder holds.

    `loaded`: the folder's texts where they have been read already, from the same folder and environment.
    """
    loaded = loaded or load_project(root, env)
    config, bag = loaded.config, Bag()
    bag.extend(loaded.diagnostics)
    if config is None:
        return Opened(root, None, loaded.sources, loaded.texts, None, bag.sorted())
    files = []
    for source in loaded.sources:
        file, problems = parse_file(source)
        files.append(file)
        bag.extend(problems)
    count = sum(len(file.statements) for file in files)
    if count > STATEMENTS_MAX:
        bag.add(error("AUD0006", None, count=count, limit=STATEMENTS_MAX))
        return Opened(root, config, loaded.sources, loaded.texts, None, bag.sorted())
    analysis, findings = analyse(tuple(files), name=config.name, timezone=config.timezone)
    return Opened(root, config, loaded.sources, loaded.texts, analysis, bag.sorted(), findings, tuple(files))


def check(opened: Opened) -> tuple[Diagnostic, ...]:
    """Everything that is wrong with the specs: syntax, meaning, messages, and what LINE cannot do."""
    bag = Bag()
    bag.extend(opened.diagnostics)
    bag.extend(opened.findings)
    if opened.analysis is not None:
        bag.extend(messages_of(opened)[1])
        if not has_errors(bag.items):
            from audsql.compile.project import check_project

            bag.extend(check_project(opened.analysis.project))
    return bag.sorted()


def check_text(text: str) -> tuple[Diagnostic, ...]:
    """The diagnostics of one text as a whole project, its tests run, every file that it names taken as there."""
    from audsql.compile.project import compile_project
    from audsql.testing import run_tests as run

    file, problems = parse_file(Source("spec.aud", text))
    analysis, findings = analyse((file,), name="spec", timezone="Asia/Tokyo")
    bag = Bag()
    bag.extend(problems)
    bag.extend(findings)
    if not has_errors(bag.items):
        bag.extend(compile_project(analysis.project)[1])
    if not has_errors(bag.items):
        bag.extend(diagnostic for result in run(analysis) for diagnostic in result.diagnostics)
    return bag.sorted()


def compiled(opened: Opened) -> tuple[Program, tuple[Diagnostic, ...]]:
    from audsql.compile.project import compile_project

    assert opened.analysis is not None
    return compile_project(opened.analysis.project)


def messages_of(opened: Opened) -> tuple[dict[str, tuple[dict[str, Any], ...]], tuple[Diagnostic, ...]]:
    """LINE message objects by message name."""
    from audsql.line.messages import check_message, read_messages, text_message

    assert opened.analysis is not None
    found: dict[str, tuple[dict[str, Any], ...]] = {}
    problems: list[Diagnostic] = []
    for message in opened.analysis.project.messages:
        if message.text is not None:
            found[message.name] = (text_message(message.text),)
            problems.extend(check_message(found[message.name][0], message.span, message.name))
        elif message.file is not None:
            content, diagnostics = _read_inside(opened, message.file, message.name, message.span)
            problems.extend(diagnostics)
            if content is not None:
                objects, diagnostics = read_messages(content, message.span, message.name)
                found[message.name] = objects
                problems.extend(diagnostics)
    return found, tuple(problems)


def _read_inside(
    opened: Opened, file: str, name: str, span: Span | None
) -> tuple[bytes | None, tuple[Diagnostic, ...]]:
    """The bytes of a file of the project; one outside it is refused."""
    path = opened.root / file
    inside = not Path(file).is_absolute() and path.resolve().is_relative_to(opened.root.resolve())
    if not inside or not path.is_file():
        return None, (error("AUD1120", span, message=name, file=file, inside=inside),)
    try:
        return path.read_bytes(), ()
    except OSError:
        return None, (error("AUD1120", span, message=name, file=file, inside=inside),)


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
    return digest_of(
        {"specs": opened.sources.digest, "messages": {k: list(v) for k, v in messages.items()}, "zone": zone}
    )

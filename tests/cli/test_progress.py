"""The line that says how far reading is: when it is drawn, what it says, where it is not shown. The clock is ours."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from audsql.cli import app
from audsql.cli.progress import watched
from audsql.data.progress import Step, listening, tell
from audsql.session.progress import Meter, Progress, shown, wanted
from audsql.source import cell_width
from audsql.view.progress import over, progress_line
from audsql.view.terminal import Style


class Screen:
    """A clock that is set by hand, and what was written."""

    def __init__(self) -> None:
        self.now, self.lines = 100.0, list[str]()
        self.meter = Meter(lambda: self.now, self.line, self.lines.append)

    def line(self, progress: Progress) -> str:
        doing = "evaluating" if progress.evaluating else "reading"
        return f"{progress.number}/{progress.of} {doing} {progress.source} {progress.rows} {progress.seconds:g}"

    def at(self, seconds: float, step: Step | None = None) -> None:
        self.now = 100.0 + seconds
        if step is None:
            self.meter.tick()
        else:
            self.meter.take(step)


def test_a_line_is_drawn_after_a_second_and_goes_on_by_itself() -> None:
    screen = Screen()
    screen.at(0, Step("source", "orders", 1, 2))
    screen.at(0.9, Step("read", rows=10))
    assert screen.lines == []
    screen.at(1.0)
    screen.at(1.05, Step("read", rows=20))
    screen.at(1.5, Step("evaluate", rows=30))
    screen.at(2)
    assert screen.lines == ["1/2 reading orders 10 1", "1/2 evaluating orders 30 1.5", "1/2 evaluating orders 30 2"]
    screen.at(3, Step("source", "members", 2, 2))
    assert screen.lines[-1] == "2/2 reading members 0 3"
    screen.at(4, Step("end"))
    screen.at(9)
    assert screen.lines[3:] == ["2/2 reading members 0 3", ""]


def test_what_is_quick_shows_nothing_and_each_reading_counts_from_its_own_start() -> None:
    screen = Screen()
    for start in (0, 10):
        screen.at(start, Step("source", "orders", 1, 1))
        screen.at(start + 0.5, Step("end"))
    assert screen.lines == []
    screen.at(20, Step("source", "orders", 1, 1))
    screen.at(21.5)
    assert screen.lines == ["1/1 reading orders 0 1.5"]


def test_the_line_is_gone_however_the_block_ends() -> None:
    screen = Screen()
    with pytest.raises(KeyboardInterrupt), shown(screen.meter):
        tell(Step("source", "orders", 1, 1))
        screen.at(5)
        raise KeyboardInterrupt
    assert screen.lines == ["1/1 reading orders 0 5", ""]
    tell(Step("source", "orders", 1, 1))
    screen.at(20)
    assert len(screen.lines) == 2


def test_nobody_is_told_who_does_not_listen() -> None:
    heard: list[Step] = []
    tell(Step("end"))
    with listening(heard.append):
        tell(Step("source", "a", 1, 1))
        with listening(lambda _: None):
            tell(Step("end"))
    assert heard == [Step("source", "a", 1, 1)]


# --- the text -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("en", "[======>     ] 3/4  reading orders  1,234,567 rows  1.5 GiB  14 s"),
        ("ja", "[======>     ] 3/4  orders を読み込み中  1,234,567 行  1.5 GiB  14 秒"),
    ],
)
def test_what_the_line_says(language: str, expected: str) -> None:
    progress = Progress("orders", 3, 4, 1_234_567, 3 << 29, 14.9)
    assert progress_line(progress, Style(language=language, width=100, colour=True)) == expected


def test_a_line_never_wraps_never_acts_and_is_written_in_the_terminals_signs() -> None:
    hostile = Progress("\x1b[31m\r表" * 20, 1, 1, 5, 5, 5)
    for width in (20, 41, 80):
        line = progress_line(hostile, Style(width=width, colour=True))
        assert cell_width(line) < width and line.isprintable()
    assert progress_line(Progress("表", 1, 1), Style(unicode=False)).isascii()


def test_a_shorter_line_covers_a_longer_one() -> None:
    assert over("ab", "") == "\rab"
    assert over("ab", "表表") == "\rab  "
    assert over("", "abc") == "\r   \r"


# --- where it is shown ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "arguments", "is_terminal", "expected"),
    [
        ({}, ("eval", "x"), True, True),
        ({"NO_COLOR": "1"}, ("eval", "x"), True, True),
        ({}, ("eval", "x"), False, False),
        ({"CI": "true"}, ("eval", "x"), True, False),
        ({"TERM": "dumb"}, ("eval", "x"), True, False),
        ({}, ("eval", "x", "--json"), True, False),
        ({}, ("plan", "--format=json"), True, False),
        ({}, ("plan", "--format", "json"), True, False),
        ({}, ("plan", "--format", "markdown"), True, True),
    ],
)
def test_only_a_person_at_a_terminal_sees_it(
    environment: dict[str, str], arguments: tuple[str, ...], is_terminal: bool, expected: bool
) -> None:
    assert wanted(environment, arguments, is_terminal=is_terminal) is expected


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project, under a clock that is a minute later at each look."""
    (tmp_path / "x.aud").write_text('upload buyers { file: "buyers.txt"  id: user_id }\n')
    (tmp_path / "buyers.txt").write_text(f"U{1:032x}\nU{2:032x}\n")
    seconds = iter(range(0, 1_000_000, 60))
    monkeypatch.setattr("audsql.cli.progress.time.monotonic", lambda: float(next(seconds)))
    for name in ("CI", "TERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AUDSQL_LANG", "en")
    return tmp_path


def test_a_long_eval_at_a_terminal(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert app.run(["eval", "uploaded(buyers)", "--project", str(project)]) == 0
    said = terminal.getvalue()
    assert "\r[>           ] 1/1  reading buyers  " in said and " 68 B " in said
    assert said.endswith(" \r") and "\x1b" not in said and "\n" not in said
    assert capsys.readouterr().out == "2 people\n"


@pytest.mark.parametrize("how", ["json", "ci", "pipe"])
def test_a_long_eval_for_a_machine(project: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    more = ["--json"] if how == "json" else []
    if how == "ci":
        monkeypatch.setenv("CI", "true")
    stream = io.StringIO() if how == "pipe" else Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    assert app.run(["eval", "uploaded(buyers)", "--project", str(project), *more]) == 0
    assert stream.getvalue() == ""


def test_a_command_that_reads_nothing_starts_no_thread(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr("audsql.session.progress.threading.Thread", _NoThread)
    with watched(["check", "--project", str(project)], None):
        pass
    assert terminal.getvalue() == ""


class _NoThread:
    ident = None

    def __init__(self, **_: object) -> None:
        pass

    def start(self) -> None:
        raise AssertionError("a thread was started")

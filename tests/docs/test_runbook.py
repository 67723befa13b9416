"""docs/runbook.md and its Japanese twin: every command can be typed in its situation, and nothing is left out.

A console block says the situation and the exit code of each of its commands.
"""

from __future__ import annotations

import re
import shlex
from contextlib import contextmanager
from pathlib import Path

import click
import pytest
from documents import DOCS, Block, blocks_of, commands_of
from test_line_rules import shop

from audsql.cli.app import group, run
from audsql.cli.exits import Code

PAGES = ("runbook.md", "runbook.ja.md")
CONSOLE = [block for page in PAGES for block in blocks_of(page) if block.language == "console"]
LIST = "uploaded(list)"
PATH = "/v2/bot/message/narrowcast"


@contextmanager
def situation(name: str, root: Path):
    """A project whose delivery `sale` is in that situation."""
    more, account = "", {}
    if name in ("failed", "partial"):
        account = {"progress": [{"errorCode": 2 if name == "failed" else 1, "delivered": 0}]}
    if name in ("missed", "waiting"):
        more = "at: 2026-11-21 02:00"
    with shop(root, f"{LIST} EXCEPT uploaded(out)", people=range(1, 101), more=more, **account) as here:
        if name == "in_doubt":
            here.faults(
                *({"match": {"method": "POST", "path": PATH}, "nth": n, "do": "drop-response"} for n in range(1, 99))
            )
        if name == "paused":
            assert here.command("pause", "--reason", "wrong price").returncode == 0
        expected = {"failed": 7, "partial": 7, "in_doubt": 4, "paused": 5}
        assert here.apply().exit_code == expected.get(name, 0)
        if name in ("missed", "in_doubt"):
            here.faults()
            here.advance(9 * 3600)
            assert here.run().exit_code == 7
        yield here


@pytest.mark.parametrize("block", CONSOLE, ids=str)
def test_commands_end_as_the_page_says(block: Block, tmp_path: Path, capsys, monkeypatch) -> None:
    name, *codes = block.about.split()
    commands = [command for command, _ in commands_of(block)]
    assert len(commands) == len(codes)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with situation(name, tmp_path / "project") as here:
        monkeypatch.chdir(here.root)
        for command, code in zip(commands, codes, strict=True):
            found = run(shlex.split(command)[1:])
            printed = capsys.readouterr()
            assert found == int(code), f"{block}: $ {command}\n{printed.out}{printed.err}"


@pytest.mark.parametrize("page", PAGES)
def test_every_command_in_the_text_can_be_typed(page: str) -> None:
    """Inline commands too: the command and its options exist."""
    text = (DOCS / page).read_text(encoding="utf-8")
    found = set(re.findall(r"`(audsql [^`]+)`", text)) | set(re.findall(r"^\$ (audsql .+)$", text, re.MULTILINE))
    assert len(found) >= 20
    for line in sorted(found):
        command: click.Command = group
        words = shlex.split(line)[1:]
        context = click.Context(group, info_name="audsql")
        while isinstance(command, click.Group):
            inner = command.get_command(context, words[0])
            assert inner is not None, line
            command, words = inner, words[1:]
        if words:
            # A command that is only named stands for all its forms.
            command.make_context("audsql", list(words))


@pytest.mark.parametrize("page", PAGES)
def test_every_exit_code_has_a_section(page: str) -> None:
    heads = re.findall(r"^### (\d+)$", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE)
    assert [int(one) for one in heads] == sorted(int(code) for code in Code)


def test_both_pages_say_the_same() -> None:
    blocks = [[(one.language, one.about) for one in blocks_of(page)] for page in PAGES]
    assert blocks[0] == blocks[1]
    for pattern in (r"^#+ ", r"AUD\d{4}", r"`(audsql [a-z-]+(?: --?[a-z-]+)?)"):
        english, japanese = (
            re.findall(pattern, (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE) for page in PAGES
        )
        assert sorted(english) == sorted(japanese), pattern


@pytest.mark.parametrize(
    ("page", "words"), [(PAGES[0], ("Certain", "Type", "Do\\s+not")), (PAGES[1], ("確かなこと", "入力", "しないこと"))]
)
def test_every_section_says_what_is_certain_what_to_type_and_what_not_to_do(page: str, words: tuple[str, ...]) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    sections = re.split(r"^### ", text, flags=re.MULTILINE)[1:]
    assert len(sections) == len(Code) + 11
    for section in sections:
        for word in words:
            assert re.search(rf"\*\*{word}", section), (section.splitlines()[0], word)

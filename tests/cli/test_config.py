"""audsql.toml and the project folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from audsql.config import FILE_BYTES_MAX, Retention, endpoint_of, load_project, nearest, parse_config, toml_key
from audsql.near import nearest_name
from audsql.source import Source


def codes(text: str, environment: str | None = None) -> list[str]:
    config, diagnostics = parse_config(text, "folder", environment)
    assert (config is None) == bool(diagnostics)
    return [one.code for one in diagnostics]


def test_defaults() -> None:
    config, diagnostics = parse_config("", "folder", None)
    assert diagnostics == ()
    assert config is not None
    assert (config.name, config.timezone, config.language) == ("folder", "Asia/Tokyo", None)
    assert (config.state_url, config.engine.kind) == ("sqlite:.audsql/state.sqlite", "duckdb")
    assert dict(config.endpoints) == {}


OVERLAID = """
[project]
name = "shop"
language = "ja"
[account.shop]
endpoint = "line"
[sim]
world = "world.json"
[env.staging.account.shop]
endpoint = "sim"
[env.staging.state]
url = "sqlite:staging.sqlite"
"""


def test_environments_overlay() -> None:
    plain, _ = parse_config(OVERLAID, "folder", None)
    staging, _ = parse_config(OVERLAID, "folder", "staging")
    assert plain is not None
    assert staging is not None
    assert (plain.endpoints["shop"], plain.state_path) == ("line", ".audsql/state.sqlite")
    assert (staging.endpoints["shop"], staging.state_path) == ("sim", "staging.sqlite")
    assert (staging.name, staging.language, staging.environment) == ("shop", "ja", "staging")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[project\n", "AUD0010"),
        ("[project]\nname = shop\n", "AUD0010"),
        ("[projekt]\n", "AUD0011"),
        ("[project]\ntimezoen = 'x'\n", "AUD0011"),
        ("[account.shop]\ntoken = 'secret'\n", "AUD0011"),
        ("[env.a.env.b]\n", "AUD0011"),
        ("project = 1\n", "AUD0012"),
        ("env = 1\n", "AUD0012"),
        ("[account]\nshop = 'line'\n", "AUD0012"),
        ("[project]\nname = 1\n", "AUD0012"),
        ("[project]\ntimezone = 'JTS'\n", "AUD0013"),
        ("[project]\ntimezone = '../etc/passwd'\n", "AUD0013"),
        ("[state]\nurl = 'redis:x'\n", "AUD0014"),
        ("[account.shop]\nendpoint = 'lime'\n", "AUD0016"),
        ("[account.shop]\nendpoint = 'https://user:pass@x.example'\n", "AUD0016"),
        ("[project]\nlanguage = 'fr'\n", "AUD0017"),
        ("[engine]\nkind = 'sparc'\n", "AUD0017"),
        ("[privacy]\nfloor = '20'\n", "AUD0012"),
        ("[privacy]\nfloor = true\n", "AUD0012"),
        ("[privacy]\nfloor = -1\n", "AUD0670"),
        ("[privacy]\nflor = 1\n", "AUD0011"),
        ("[retention]\nbackups = 0\n", "AUD0670"),
        ("[retention]\nspool_hours = 25\n", "AUD0670"),
        ("[retention]\nrequests_days = 1.5\n", "AUD0012"),
        ("retention = 1\n", "AUD0012"),
    ],
)
def test_what_is_refused(text: str, code: str) -> None:
    assert codes(text) == [code]


def test_what_is_hidden_and_what_is_kept() -> None:
    plain, _ = parse_config("", "folder", None)
    text = "[privacy]\nfloor = 0\n[retention]\nbackups = 9\n[env.a.privacy]\nfloor = 50\n"
    given, _ = parse_config(text, "folder", None)
    overlaid, _ = parse_config(text, "folder", "a")
    assert plain is not None and given is not None and overlaid is not None
    assert (plain.floor, given.floor, overlaid.floor) == (20, 0, 50)
    assert plain.retention == Retention()
    assert given.retention == overlaid.retention == Retention(backups=9)


def test_unknown_environment() -> None:
    assert codes(OVERLAID, "stagin") == ["AUD0015"]


def test_errors_stand_at_their_key() -> None:
    text = "[project]\nname = '店'\n\n[account.\"本店\"]\nendpoit = 'sim'\n"
    _, (found,) = parse_config(text, "folder", None)
    assert found.span is not None
    assert text[found.span.start : found.span.end] == "endpoit"
    assert Source("audsql.toml", text).position(found.span.start).line == 5
    assert found.fact("near") == "endpoint"


def test_an_error_in_an_overlay_stands_there() -> None:
    text = "[project]\ntimezone = 'UTC'\n[env.a.project]\ntimezone = 'XTC'\n"
    _, (found,) = parse_config(text, "folder", "a")
    assert found.span is not None
    assert Source("audsql.toml", text).position(found.span.start).line == 4


def test_endpoints_have_no_default() -> None:
    config, _ = parse_config("[account.a]\nendpoint = 'sim'\n[account.b]\nendpoint = 'http://x.example:1'\n", "f", None)
    assert config is not None
    assert [one.code for one in endpoint_of(config, "shop")[1]] == ["AUD0020"]
    assert [one.code for one in endpoint_of(config, "a")[1]] == ["AUD0021"]
    assert endpoint_of(config, "b") == ("http://x.example:1", ())


def test_a_name_that_toml_wants_in_quotes() -> None:
    """What AUD0020 says to write is TOML that names the account."""
    for name in ("shop", "shop_2", "my-shop", "店", "a.b", 'a "b"', "タブ\t"):
        told = parse_config(f"[account.{toml_key(name)}]\nendpoint = 'line'\n", "f", None)
        assert told[0] is not None and dict(told[0].endpoints) == {name: "line"}
    config, _ = parse_config("", "f", None)
    assert config is not None
    assert endpoint_of(config, "店")[1][0].fact("key") == '"店"'


def test_a_name_with_an_index_or_under_a_use_is_the_nearest() -> None:
    assert nearest_name("sale", ("sales", "sale[B]", "sale[A]")) == "sale[A]"
    assert nearest_name("optout", ("common.optout", "optuot")) == "common.optout"
    assert nearest_name("sal", ("sale[A]", "sale")) == "sale"
    assert nearest_name("", ("a",)) is None


def test_nearest() -> None:
    assert nearest("ENDPOIT", ("endpoint", "world")) == "endpoint"
    assert nearest("zzz", ("endpoint", "world")) is None
    assert nearest("x", ()) is None


# --- the folder -------------------------------------------------------------------------------------


def found_in(root: Path) -> list[str]:
    return [one.code for one in load_project(root).diagnostics]


def test_folders_that_are_no_project(tmp_path: Path) -> None:
    assert found_in(tmp_path / "missing") == ["AUD0001"]
    assert found_in(tmp_path) == ["AUD0002"]
    (tmp_path / "x.aud").write_text("")
    assert found_in(tmp_path) == []


def test_every_spec_below_the_folder_loads(tmp_path: Path) -> None:
    for name in ("b.aud", "a/z.aud", ".hidden/h.aud", "a/.x.aud", "notes.txt", "店/春.aud"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("# x\r\n", encoding="utf-8", newline="")
    (tmp_path / "audsql.toml").write_text("")
    loaded = load_project(tmp_path)
    assert list(loaded.sources.sources) == ["a/z.aud", "b.aud", "店/春.aud"]
    assert list(loaded.texts.sources) == ["a/z.aud", "audsql.toml", "b.aud", "店/春.aud"]
    assert loaded.sources.sources["b.aud"].text == "# x\r\n"


@pytest.mark.threat("T54")
def test_links_out_of_the_project_are_not_followed(tmp_path: Path) -> None:
    project, outside = tmp_path / "p", tmp_path / "o"
    project.mkdir()
    outside.mkdir()
    (outside / "secret.aud").write_text("x")
    (project / "a.aud").write_text("")
    (project / "inside.aud").symlink_to("a.aud")
    (project / "out.aud").symlink_to(outside / "secret.aud")
    (project / "folder").symlink_to(outside)
    assert list(load_project(project).sources.sources) == ["a.aud", "inside.aud"]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"audience x = \x83\x65\x83\x58\x83\x67", "AUD0003"),
        (b"\xff\xfea\x00", "AUD0008"),
        (b"PK\x03\x04\x00", "AUD0008"),
        (b"#" * (FILE_BYTES_MAX + 1), "AUD0004"),
    ],
)
def test_files_that_are_no_text(tmp_path: Path, content: bytes, code: str) -> None:
    (tmp_path / "x.aud").write_bytes(content)
    assert found_in(tmp_path) == [code]


def test_encoding_is_named_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "x.aud").write_bytes(b"# " + "購入者".encode("cp932"))
    (found,) = load_project(tmp_path).diagnostics
    assert (found.fact("line"), found.fact("encoding")) == (1, "Shift_JIS (CP932)")


def test_byte_order_mark_is_tolerated(tmp_path: Path) -> None:
    (tmp_path / "x.aud").write_bytes(b"\xef\xbb\xbf# x\n")
    assert load_project(tmp_path).sources.sources["x.aud"].text == "# x\n"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.aud")
    assert found_in(tmp_path) == ["AUD0007"]


def test_a_link_to_nothing(tmp_path: Path) -> None:
    (tmp_path / "x.aud").symlink_to(tmp_path / "gone.aud")
    assert found_in(tmp_path) == ["AUD0005"]

"""The project folder: `audsql.toml` and the `.aud` texts below it, read and checked.

This is where bytes of a project come in. Everything is read strictly (UTF-8, a size cap, no links that
lead out of the folder) and every refusal is a diagnostic with a code. What a spec means is not known here.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from audsql.data.connections import Connection, read_connection
from audsql.data.remote.settings import EMBEDDED, KINDS, EngineSettings, read_engine
from audsql.diag import Bag, Diagnostic, error, has_errors
from audsql.near import nearest
from audsql.records import dataclass
from audsql.source import Source, SourceMap, Span
from audsql.toml_places import Places

__all__ = [
    "CONFIG_NAME",
    "FILE_BYTES_MAX",
    "Config",
    "Loaded",
    "Notify",
    "Retention",
    "endpoint_of",
    "load_project",
    "parse_config",
    "read_text",
    "toml_key",
    "webhook_host",
]

CONFIG_NAME = "audsql.toml"
# specs/language: a file above this is refused (lex.limits).
FILE_BYTES_MAX = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Notify:
    """Who is told when an apply or run needs a person: a command with its arguments, or an address.

    One of the three is given. `webhook_variable` names the environment variable that holds the address.
    `always`: also when nothing is wrong.
    """

    command: tuple[str, ...] = ()
    webhook: str = ""
    webhook_variable: str | None = None
    always: bool = False


@dataclass(frozen=True, slots=True)
class Retention:
    """How long what stands beside the specs is kept, at the end of each apply and run (privacy.retention).

    `backups`: the newest backups of a state. `requests_days`, `requests_mebibytes`: the log of requests, by age and
    by size. `spool_hours`: working copies that a killed process left.
    """

    backups: int = 5
    requests_days: int = 400
    requests_mebibytes: int = 16
    spool_hours: int = 24


@dataclass(frozen=True, slots=True)
class Config:
    """What `audsql.toml` says, with the overlay of the chosen environment on top.

    `endpoints` maps an account of the spec to "line", "sim" or a base URL; an account without one cannot
    be planned against. `world` is the simulator's world file for "sim". Paths are relative to the project.
    `yen_per_message` is what a message costs, by account, in digits; nothing where the project does not say.
    `follow_logs`: by account the file or pattern of its log of webhook events.
    `memory_mebibytes`: about what reading own data may take. `key_file` holds the project's keys. Comments hide
    counts of people below `floor`, 0: none. `lints_ignored` and `lints_as_errors` are codes of lints.
    """

    name: str
    timezone: str = "Asia/Tokyo"
    language: str | None = None
    state_url: str = "sqlite:.audsql/state.sqlite"
    engine: EngineSettings = EMBEDDED
    endpoints: Mapping[str, str] = field(default_factory=dict)
    yen_per_message: Mapping[str, str] = field(default_factory=dict)
    follow_logs: Mapping[str, str] = field(default_factory=dict)
    world: str | None = None
    environment: str | None = None
    lints_ignored: frozenset[str] = frozenset()
    lints_as_errors: frozenset[str] = frozenset()
    notify: Notify | None = None
    key_file: str | None = None
    floor: int = 20
    retention: Retention = field(default_factory=Retention)
    memory_mebibytes: int = 4_096
    connections: Mapping[str, Connection] = field(default_factory=dict)

    @property
    def state_path(self) -> str | None:
        """The SQLite file of `state_url`, relative to the project folder unless absolute; None for a server."""
        return self.state_url.removeprefix("sqlite:") if self.state_url.startswith("sqlite:") else None

    @property
    def state_variable(self) -> str | None:
        """The environment variable that holds the url of the state, where `env("NAME")` is written."""
        found = _VARIABLE.fullmatch(self.state_url)
        return found[1] if found else None


@dataclass(frozen=True, slots=True)
class Loaded:
    """A project folder as read. `sources` holds the specs; `texts` also `audsql.toml`, for views."""

    root: Path
    config: Config | None
    sources: SourceMap
    texts: SourceMap
    diagnostics: tuple[Diagnostic, ...]


# --- the folder -----------------------------------------------------------------------------------


def load_project(root: Path, environment: str | None = None) -> Loaded:
    """Read a project folder. Never raises for what the folder holds; see `diagnostics`."""
    nothing = SourceMap({})
    if not root.is_dir():
        return Loaded(root, None, nothing, nothing, (error("AUD0001", None, path=str(root)),))
    config_path = root / CONFIG_NAME
    paths = tuple(_spec_paths(root))
    if not config_path.is_file() and not paths:
        return Loaded(root, None, nothing, nothing, (error("AUD0002", None, path=str(root)),))
    bag = Bag()
    sources = []
    for relative in paths:
        text, found = read_text(root / relative, relative)
        bag.extend(found)
        if text is not None:
            sources.append(Source(relative, text))
    config, config_source = _load_config(root, config_path, environment, bag)
    texts = [*sources, config_source] if config_source else sources
    return Loaded(root, config, SourceMap.of(sources), SourceMap.of(texts), bag.sorted())


def _load_config(root: Path, path: Path, environment: str | None, bag: Bag) -> tuple[Config | None, Source | None]:
    if not path.is_file():
        text: str | None = ""
    else:
        text, found = read_text(path, CONFIG_NAME)
        bag.extend(found)
    if text is None:
        return None, None
    config, found = parse_config(text, root.resolve().name, environment)
    bag.extend(found)
    return config, Source(CONFIG_NAME, text) if path.is_file() else None


def _spec_paths(root: Path) -> Iterator[str]:
    """Every `*.aud` below the folder, sorted; dot-folders and links to folders are not entered."""
    found = []
    for folder, folders, names in os.walk(root, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            path = Path(folder, name)
            if name.endswith(".aud") and not name.startswith(".") and _stays_inside(path, root):
                found.append(path.relative_to(root).as_posix())
    yield from sorted(found)


def _stays_inside(path: Path, root: Path) -> bool:
    """Whether a linked file is still a spec of this project: the text of what does not parse is shown to people."""
    if not path.is_symlink():
        return True
    target = path.resolve()
    return target.suffix == ".aud" and target.is_relative_to(root.resolve())


def read_text(path: Path, shown: str) -> tuple[str | None, tuple[Diagnostic, ...]]:
    """The text of a file: UTF-8, a byte order mark tolerated, at most FILE_BYTES_MAX.

    `shown` is the path that diagnostics name. CR LF stays as written: places count code points.
    """
    try:
        if path.exists() and not path.is_file():
            return None, (error("AUD0007", None, path=shown),)
        size = path.stat().st_size
        if size > FILE_BYTES_MAX:
            return None, (error("AUD0004", None, path=shown, size_bytes=size, limit_bytes=FILE_BYTES_MAX),)
        with path.open("rb") as stream:
            # A file may grow between the two looks; one byte more than allowed is enough to know.
            content = stream.read(FILE_BYTES_MAX + 1)
    except OSError as problem:
        return None, (error("AUD0005", None, path=shown, reason=os.strerror(problem.errno or 0)),)
    if len(content) > FILE_BYTES_MAX:
        return None, (error("AUD0004", None, path=shown, size_bytes=len(content), limit_bytes=FILE_BYTES_MAX),)
    return decode(content, shown)


def decode(content: bytes, shown: str) -> tuple[str | None, tuple[Diagnostic, ...]]:
    """Bytes as text; what is not UTF-8, or is not text at all, is a diagnostic with the byte's offset."""
    zero = content.find(b"\0")
    if zero >= 0:
        return None, (error("AUD0008", None, path=shown, byte_offset=zero),)
    try:
        return content.decode("utf-8-sig"), ()
    except UnicodeDecodeError as problem:
        encoding = _other_encoding(content)
        line = content.count(b"\n", 0, problem.start) + 1
        return None, (error("AUD0003", None, path=shown, line=line, encoding=encoding),)


def _other_encoding(content: bytes) -> str | None:
    """The encoding that Japanese office software writes, where the bytes fit it."""
    try:
        content.decode("cp932")
    except UnicodeDecodeError:
        return None
    return "Shift_JIS (CP932)"


# --- audsql.toml ----------------------------------------------------------------------------------

_MEMORY = "memory_mebibytes"
# Sections and their keys; `[account.NAME]`, `[connection.NAME]` and `[env.NAME]` are open by name.
_KEYS: Mapping[str, tuple[str, ...]] = {
    "project": ("name", "timezone", "language"),
    "state": ("url",),
    "engine": ("kind", "url", "master", _MEMORY),
    "sim": ("world",),
    "keys": ("file",),
    "privacy": ("floor",),
    "retention": ("backups", "requests_days", "requests_mebibytes", "spool_hours"),
}
# Whole numbers: the least and the greatest of each.
_WHOLE = dict.fromkeys(_KEYS["retention"], (1, 9_999)) | {"floor": (0, 9_999), "spool_hours": (1, 24)}
_YEN, _FOLLOWS = "yen_per_message", "follow_log"
_CONNECTION_LIMITS = ("rows_max", "mebibytes_max", "timeout_seconds")
_WHOLE |= {_MEMORY: (256, 1_048_576)}
_WHOLE |= {"rows_max": (1, 2_000_000_000), "mebibytes_max": (1, 3_800), "timeout_seconds": (1, 86_400)}
_NAMED = {
    "account": ("endpoint", _YEN, _FOLLOWS),
    "connection": ("kind", "url", "path", *_CONNECTION_LIMITS),
}
_LINT_KEYS = ("ignore", "error")
_LINTS = "AUD05"
_NOTIFY_KEYS = ("command", "webhook", "always")
_SECTIONS = (*_KEYS, *_NAMED, "env", "lint", "notify")
_LANGUAGES = ("en", "ja")


def parse_config(text: str, folder_name: str, environment: str | None) -> tuple[Config | None, tuple[Diagnostic, ...]]:
    """The configuration that a text gives, for one environment (None: the plain one).

    `folder_name` is the project's name where the text gives none. None comes back with errors only.
    """
    places = Places(CONFIG_NAME, text)
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        return None, (_syntax_error(str(problem), places),)
    bag = Bag()
    settings = _flatten(document, places, bag, ())
    overlays = document.get("env", {})
    for name, overlay in sorted(overlays.items()) if isinstance(overlays, dict) else ():
        overlaid = _flatten(overlay, places, bag, ("env", name)) if isinstance(overlay, dict) else {}
        if name == environment:
            settings |= overlaid
    if environment is not None and environment not in overlays:
        known = tuple(sorted(overlays))
        bag.add(error("AUD0015", None, name=environment, near=nearest(environment, known), known=known))
    config = _build(settings, folder_name, environment, places, bag)
    config = _with_lints(config, document.get("lint", {}), places, bag)
    config = replace(config, notify=_notify(document, overlays, environment, places, bag))
    return (None if has_errors(bag.items) else config), bag.sorted()


def _syntax_error(message: str, places: Places) -> Diagnostic:
    match = re.search(r"\(at line (\d+), column (\d+)\)", message)
    line, column = (int(match[1]), int(match[2])) if match else (places.line_count, 1)
    problem = message[: match.start()].strip() if match else message
    return error("AUD0010", places.at(line, column), problem=problem)


_Settings = dict[tuple[str, ...], tuple[str, tuple[str, ...]]]


def _flatten(table: Mapping[str, Any], places: Places, bag: Bag, prefix: tuple[str, ...]) -> _Settings:
    """Every setting as (section, key) to (value, where it stands); unknown names and types are errors."""
    found: _Settings = {}
    for section, content in table.items():
        here = (*prefix, section)
        if section == "env" and not prefix:
            if not isinstance(content, dict):
                bag.add(error("AUD0012", places.of(here), key=section, expected="table"))
        elif section == "lint" and not prefix:
            # Lists of codes, read by themselves; what is probably not meant is the same in every environment.
            continue
        elif section == "notify":
            # A list, a text and a truth value, read by themselves.
            continue
        elif section not in _SECTIONS or section in ("env", "lint"):
            bag.add(_unknown(here, places, _SECTIONS))
        elif not isinstance(content, dict):
            bag.add(error("AUD0012", places.of(here), key=section, expected="table"))
        elif section in _NAMED:
            for name, one in content.items():
                found |= _section(one, (*here, name), _NAMED[section], places, bag, len(prefix))
        else:
            found |= _section(content, here, _KEYS[section], places, bag, len(prefix))
    return found


def _section(
    content: object, here: tuple[str, ...], keys: tuple[str, ...], places: Places, bag: Bag, depth: int
) -> _Settings:
    if not isinstance(content, dict):
        bag.add(error("AUD0012", places.of(here), key=here[-1], expected="table"))
        return {}
    found: _Settings = {}
    for key, value in content.items():
        path = (*here, key)
        if key not in keys:
            bag.add(_unknown(path, places, keys))
        elif key == _YEN and type(value) in (int, float):
            # A price is a number; its digits are kept as they are written.
            found[path[depth:]] = (str(value), path)
        elif key in _WHOLE:
            if type(value) is int and _WHOLE[key][0] <= value <= _WHOLE[key][1]:
                found[path[depth:]] = (str(value), path)
            else:
                bag.add(_no_number(path, value, places))
        elif not isinstance(value, str):
            bag.add(error("AUD0012", places.of(path), key=key, expected="string"))
        else:
            found[path[depth:]] = (value, path)
    return found


def _no_number(path: tuple[str, ...], value: object, places: Places) -> Diagnostic:
    key, (low, high) = path[-1], _WHOLE[path[-1]]
    if type(value) is not int:
        return error("AUD0012", places.of(path), key=key, expected="integer")
    return error("AUD0670", places.of(path), key=key, value=value, low=low, high=high)


def _unknown(path: tuple[str, ...], places: Places, known: tuple[str, ...]) -> Diagnostic:
    return error("AUD0011", places.of(path), key=path[-1], near=nearest(path[-1], known), known=tuple(sorted(known)))


def _build(settings: _Settings, folder_name: str, environment: str | None, places: Places, bag: Bag) -> Config:
    def value(section: str, key: str, default: str) -> str:
        return settings.get((section, key), (default, ()))[0]

    config = Config(
        name=value("project", "name", folder_name),
        timezone=value("project", "timezone", "Asia/Tokyo"),
        language=value("project", "language", "") or None,
        state_url=value("state", "url", "sqlite:.audsql/state.sqlite"),
        engine=_engine(settings, places, bag),
        endpoints=_of_accounts(settings, "endpoint"),
        yen_per_message=_of_accounts(settings, _YEN),
        follow_logs=_of_accounts(settings, _FOLLOWS),
        world=value("sim", "world", "") or None,
        key_file=value("keys", "file", "") or None,
        environment=environment,
        floor=int(value("privacy", "floor", "20")),
        memory_mebibytes=int(value("engine", _MEMORY, "4096")),
        retention=Retention(**{path[1]: int(found[0]) for path, found in settings.items() if path[0] == "retention"}),
        connections=_connections(settings, places, bag),
    )
    _check_choice(settings, ("project", "language"), _LANGUAGES, places, bag)
    if not _is_zone(config.timezone):
        bag.add(error("AUD0013", _place(settings, ("project", "timezone"), places), name=config.timezone))
    _check_state(config.state_url, _place(settings, ("state", "url"), places), bag)
    for name, price in config.yen_per_message.items():
        if not _PRICE.fullmatch(price):
            place = _place(settings, ("account", name, _YEN), places)
            bag.add(error("AUD0650", place, account=name, value=price))
    for name, endpoint in config.endpoints.items():
        if not _is_endpoint(endpoint):
            place = _place(settings, ("account", name, "endpoint"), places)
            bag.add(error("AUD0016", place, account=name, value=endpoint))
    return config


def _engine(settings: _Settings, places: Places, bag: Bag) -> EngineSettings:
    """`[engine]`. Where an environment chooses the kind, what another table says of another kind is passed over."""
    _check_choice(settings, ("engine", "kind"), KINDS, places, bag)
    written, path = settings.get(("engine", "kind"), ("duckdb", ()))
    kind = next((one for one in KINDS if one == written), None)
    own = {key: settings["engine", key] for key in ("url", "master") if ("engine", key) in settings}
    takes = {"postgres": "url", "spark": "master"}.get(written)
    chosen = {key: one[0] for key, one in own.items() if key == takes or not path or one[1][:-1] == path[:-1]}
    if kind is None:
        return EMBEDDED
    engine = read_engine(kind, chosen)
    if isinstance(engine, EngineSettings):
        return engine
    setting, problem = engine
    place = _place(settings, ("engine", setting if setting in own else "kind"), places)
    bag.add(error("AUD0084", place, engine=kind, setting=setting, problem=problem))
    return EMBEDDED


def _connections(settings: _Settings, places: Places, bag: Bag) -> dict[str, Connection]:
    """`[connection.NAME]` by name; one that cannot be used is told."""
    given: dict[str, dict[str, str]] = {}
    for path, (value, _) in sorted(settings.items()):
        if path[0] == "connection":
            given.setdefault(path[1], {})[path[2]] = value
    found = {}
    for name, own in given.items():
        one = read_connection(name, own)
        if isinstance(one, Connection):
            found[name] = one
        else:
            key = one[0] if one[0] in own else next(iter(own))
            place = _place(settings, ("connection", name, key), places)
            bag.add(error("AUD0091", place, connection=name, setting=one[0], problem=one[1]))
    return found


_PRICE = re.compile(r"[0-9]{1,4}(\.[0-9]{1,3})?")


def _of_accounts(settings: _Settings, key: str) -> dict[str, str]:
    """One setting of `[account.NAME]`, by account."""
    return {path[1]: found[0] for path, found in sorted(settings.items()) if path[0] == "account" and path[2] == key}


_VARIABLE = re.compile(r"env\(\"([A-Za-z_][A-Za-z0-9_]*)\"\)")


def _check_state(url: str, place: Span | None, bag: Bag) -> None:
    """A file, a server without a password in its url, or the variable that holds such a url."""
    if _VARIABLE.fullmatch(url) or re.fullmatch(r"sqlite:[^\0]+", url):
        return
    if not re.fullmatch(r"postgres(ql)?://[^\0\s]+", url):
        bag.add(error("AUD0014", place, value=url))
    elif _has_password(url):
        bag.add(error("AUD0692", place))


def _has_password(url: str) -> bool:
    parts = urlsplit(url)
    return ":" in parts.netloc.rpartition("@")[0] or "password=" in parts.query


def _with_lints(config: Config, content: object, places: Places, bag: Bag) -> Config:
    """The configuration with `[lint] ignore` and `error`, whose codes must be those of lints."""
    if not isinstance(content, dict):
        bag.add(error("AUD0012", places.of(("lint",)), key="lint", expected="table"))
        return config
    found: dict[str, frozenset[str]] = {}
    for key, value in content.items():
        path = ("lint", key)
        if key not in _LINT_KEYS:
            bag.add(_unknown(path, places, _LINT_KEYS))
        elif not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            bag.add(error("AUD0012", places.of(path), key=key, expected="array of strings"))
        else:
            found[key] = frozenset(value)
            bag.extend(_unknown_lints(key, value, places))
    ignored, raised = found.get("ignore", frozenset()), found.get("error", frozenset())
    for code in sorted(ignored & raised):
        bag.add(error("AUD0047", places.of(("lint", "error")), value=code))
    return replace(config, lints_ignored=ignored, lints_as_errors=raised)


def _notify(
    document: Mapping[str, Any], overlays: object, environment: str | None, places: Places, bag: Bag
) -> Notify | None:
    """`[notify]`, of which an environment's own takes the place as a whole; every one of them is looked at."""
    found = _read_notify(document["notify"], ("notify",), places, bag) if "notify" in document else None
    for name, overlay in sorted(overlays.items()) if isinstance(overlays, dict) else ():
        if isinstance(overlay, dict) and "notify" in overlay:
            own = _read_notify(overlay["notify"], ("env", name, "notify"), places, bag)
            found = own if name == environment else found
    return found


def _read_notify(content: object, here: tuple[str, ...], places: Places, bag: Bag) -> Notify | None:
    if not isinstance(content, dict):
        bag.add(error("AUD0012", places.of(here), key="notify", expected="table"))
        return None
    right = True
    for key, value in content.items():
        expected = _wrong_type(key, value)
        if key not in _NOTIFY_KEYS:
            bag.add(_unknown((*here, key), places, _NOTIFY_KEYS))
        elif expected is not None:
            bag.add(error("AUD0012", places.of((*here, key)), key=key, expected=expected))
        right = right and key in _NOTIFY_KEYS and expected is None
    if not right:
        return None
    if ("command" in content) == ("webhook" in content):
        bag.add(error("AUD0886", places.of(here), count=2 if "command" in content else 0))
        return None
    command, webhook, always = content.get("command", ()), content.get("webhook", ""), content.get("always", False)
    variable = _VARIABLE.fullmatch(webhook)
    if webhook and variable is None and webhook_host(webhook) is None:
        bag.add(error("AUD0887", places.of((*here, "webhook"))))
        return None
    return Notify(tuple(command), "" if variable else webhook, variable[1] if variable else None, always)


def _wrong_type(key: str, value: object) -> str | None:
    """What a setting of `[notify]` must be instead; None where it is right."""
    if key == "command":
        texts = isinstance(value, list) and all(isinstance(one, str) and "\0" not in one for one in value)
        return None if texts and value else "array of strings"
    if key == "webhook":
        return None if isinstance(value, str) and value else "string"
    return None if isinstance(value, bool) else "boolean"


def webhook_host(url: str) -> str | None:
    """The host of an address that a notice may go to: https, or http to this machine. Else None."""
    from audsql.line.transport import is_loopback

    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return None
    fits = bool(host) and url.isascii() and url.isprintable() and not parts.username and not parts.password
    encrypted = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    return host if fits and encrypted else None


def _unknown_lints(key: str, values: Iterable[str], places: Places) -> Iterator[Diagnostic]:
    from audsql import catalog

    known = tuple(code for code in catalog.codes() if code.startswith(_LINTS))
    for value in values:
        if value not in known:
            near = nearest(value, known)
            yield error("AUD0046", places.of(("lint", key)), key=key, value=value, near=near, known=known)


def _place(settings: _Settings, key: tuple[str, ...], places: Places) -> Span | None:
    return places.of(settings[key][1]) if key in settings else None


def _check_choice(
    settings: _Settings, key: tuple[str, ...], allowed: tuple[str, ...], places: Places, bag: Bag
) -> None:
    value = settings.get(key, (allowed[0], ()))[0]
    if value not in allowed:
        near = nearest(value, allowed)
        bag.add(error("AUD0017", _place(settings, key, places), key=key[-1], value=value, near=near, allowed=allowed))


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _is_endpoint(value: str) -> bool:
    if value in ("line", "sim"):
        return True
    try:
        parts = urlsplit(value)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.username
    except ValueError:
        return False


def toml_key(name: str) -> str:
    """A name as the key of a TOML table: bare where TOML allows it, else in quotes."""
    plain = name.isascii() and name.replace("_", "").replace("-", "").isalnum()
    return name if plain else json.dumps(name, ensure_ascii=False)


def endpoint_of(config: Config, account: str, span: Span | None = None) -> tuple[str | None, tuple[Diagnostic, ...]]:
    """Where an account lives: "line", "sim" or a base URL.

    There is no default: without one nothing may be planned, and the error says what to write (exit 64).
    """
    endpoint = config.endpoints.get(account)
    if endpoint is None:
        return None, (error("AUD0020", span, account=account, key=toml_key(account)),)
    if endpoint == "sim" and config.world is None:
        return None, (error("AUD0021", span, account=account),)
    return endpoint, ()

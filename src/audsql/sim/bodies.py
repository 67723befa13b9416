"""Request bodies and queries: JSON objects with known fields, strict multipart forms, page numbers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from audsql.sim import rules
from audsql.sim.model import Call, Json

_KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "array": (list,),
    "object": (dict,),
}


def is_kind(value: Json, kind: str) -> bool:
    """Whether a JSON value is of that kind; true and false are no numbers."""
    return isinstance(value, _KINDS[kind]) and (kind == "boolean" or not isinstance(value, bool))


def json_object(call: Call, fields: Mapping[str, str], required: Sequence[str] = ()) -> dict[str, Json]:
    """The body as a JSON object with only these fields. Null is the same as absent. Refuses with LINE's 400 or 415."""
    media = call.headers.get("content-type", "").split(";")[0].strip().lower()
    if media != "application/json":
        raise rules.refuse(415, f"The content type, {media}, is not supported")
    try:
        value = json.loads(call.body, parse_constant=_no_constant)
    except json.JSONDecodeError as wrong:
        raise _unparsable(wrong.lineno, wrong.colno) from None
    except (ValueError, RecursionError):
        raise _unparsable(1, 1) from None
    if not isinstance(value, dict):
        raise _unparsable(1, 1)
    return check_object(value, "", fields, required)


def _no_constant(name: str) -> Json:
    raise ValueError(name)


def _unparsable(line: int, column: int) -> rules.Refusal:
    return rules.refuse(400, f"The request body could not be parsed as JSON (line: {line}, column: {column})")


def check_object(value: Json, where: str, fields: Mapping[str, str], required: Sequence[str] = ()) -> dict[str, Json]:
    """The object without nulls, when it has only these fields, each of its kind, and all that are required."""
    if not isinstance(value, dict):
        raise rules.refuse_property(where)
    prefix = f"{where}." if where else ""
    for name, given in value.items():
        if name not in fields:
            raise rules.refuse_property(prefix + name)
        if given is not None and not is_kind(given, fields[name]):
            raise rules.refuse_property(prefix + name)
    present = {name: given for name, given in value.items() if given is not None}
    missing = [name for name in required if name not in present]
    if missing:
        raise rules.refuse_fields(tuple((prefix + name, "May not be empty") for name in missing))
    return present


_DISPOSITION = re.compile(r"\s*form-data\s*;(.*)", re.IGNORECASE | re.DOTALL)
_PARAMETER = re.compile(r'([\w*]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;\s]*))')


def _parameters(text: str) -> dict[str, str]:
    return {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(text)}


def form_parts(call: Call) -> dict[str, tuple[str, bytes]]:
    """The parts of a multipart/form-data body: name → (media type, content). Refuses with 415 or 400."""
    header = call.headers.get("content-type", "")
    media = header.split(";")[0].strip().lower()
    boundary = _parameters(header).get("boundary")
    if media != "multipart/form-data" or not boundary:
        raise rules.refuse(415, f"The content type, {media}, is not supported")
    mark = b"--" + boundary.encode("latin-1")
    body = call.body if call.body.startswith(b"\r\n") else b"\r\n" + call.body
    pieces = body.split(b"\r\n" + mark)
    if len(pieces) < 2 or not pieces[-1].startswith(b"--"):
        raise rules.refuse(400, "The request body is not a multipart form")
    parts: dict[str, tuple[str, bytes]] = {}
    for piece in pieces[1:-1]:
        name, kind, content = _part(piece)
        if name in parts:
            raise rules.refuse_property(name)
        parts[name] = (kind, content)
    return parts


def _part(piece: bytes) -> tuple[str, str, bytes]:
    head, separator, content = piece.partition(b"\r\n\r\n")
    if not separator:
        raise rules.refuse(400, "The request body is not a multipart form")
    headers: dict[str, str] = {}
    for line in head.decode("utf-8", "replace").split("\r\n"):
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    found = _DISPOSITION.match(headers.get("content-disposition", ""))
    values = _parameters(found[1]) if found else {}
    if "name" not in values:
        raise rules.refuse(400, "The request body is not a multipart form")
    return values["name"], headers.get("content-type", "").split(";")[0].strip().lower(), content


def query_value(call: Call, name: str) -> str | None:
    """The last value of a query parameter, None when absent."""
    values = call.query.get(name)
    return values[-1] if values else None


def query_integer(call: Call, name: str, default: int | None, low: int, high: int | None = None) -> int:
    """A whole number of the query within bounds; `default` None means that it is required."""
    text = query_value(call, name)
    if text is None:
        if default is None:
            raise rules.refuse_details(f"{name}: must not be null", "REQUIRED", name)
        return default
    if re.fullmatch(r"-?[0-9]{1,9}", text) is None:
        raise rules.refuse_details(f"{name}: must be a number", "WRONG_TYPE", name)
    value = int(text)
    if value < low:
        raise rules.refuse_details(f"{name}: must be greater than or equal to {low}", "TOO_LOW")
    if high is not None and value > high:
        raise rules.refuse_details(f"{name}: must be less than or equal to {high}", "TOO_HIGH")
    return value


def query_boolean(call: Call, name: str, default: bool) -> bool:
    """`true` or `false` in the query."""
    text = query_value(call, name)
    if text is None:
        return default
    if text.lower() not in ("true", "false"):
        raise rules.refuse_details(f"{name}: must be true or false", "WRONG_TYPE", name)
    return text.lower() == "true"


def paged(call: Call, items: list[str], size: int) -> tuple[list[str], dict[str, str]]:
    """A page and, where there is more, its continuation token: offset and last second, for 24 hours."""
    token = query_value(call, "start")
    offset, expires = 0, 0
    if token is not None:
        parts = token.split("-")
        if len(parts) != 2 or not all(part.isascii() and part.isdigit() for part in parts):
            raise rules.refuse(400, "Invalid start")
        offset, expires = int(parts[0]), int(parts[1])
        if call.world.now > expires:
            raise rules.refuse(400, "Invalid start")
    end = offset + size
    lasts_until = int(call.world.now) + rules.CONTINUATION_SECONDS
    return items[offset:end], {"next": f"{end}-{lasts_until}"} if end < len(items) else {}

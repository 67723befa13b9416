"""Statements other than audiences and policies: accounts, lists, tables, messages, and what deliveries say
besides whom they reach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from decimal import Decimal
from typing import Literal

from audsql.diag import Bag, Diagnostic, Label, error
from audsql.line.limits import AUDIENCE_COUNTRIES, MESSAGES_PER_SEND_MAX, UNIT_NAME
from audsql.meaning import ir, values
from audsql.meaning.coupons import coupon_word, lower_coupon
from audsql.meaning.entries import Reader, reader
from audsql.meaning.names import Symbol, Symbols, fix_near, nearest
from audsql.meaning.schedule import lower_every
from audsql.meaning.templates import check_template
from audsql.meaning.types import ID_KINDS
from audsql.source import Span
from audsql.syntax import ast

__all__ = [
    "lower_account", "lower_coupon_of", "lower_delivery", "lower_message", "lower_table", "lower_upload",
]  # fmt: skip

_BY = ("auto", "narrowcast", "multicast", "broadcast", "push")
_SENT_BY = ("narrowcast", "multicast", "broadcast", "push")
_CONTENTS = ("text", "file", "template", "coupon")
_FIELD_TYPES: tuple[Literal["string", "number", "date"], ...] = ("string", "number", "date")
_SCALARS: Mapping[str, type] = {"string": str, "number": Decimal, "date": datetime}
_FALLBACKS: Mapping[str, str] = {"string": '"..."', "number": "0", "date": "2026-12-01"}


def lower_account(block: ast.Block, zone: tzinfo, bag: Bag) -> ir.Account | None:
    entries = reader(block, zone, bag)
    entries.require("token")
    token = entries.get("token")
    variable = ""
    if token is not None:
        if isinstance(token.value, ast.Environment):
            variable = token.value.name
        else:
            # The value is not repeated: it may be the token itself.
            entries.fail()
            bag.add(error("AUD0304", token.span, account=block.name.text))
    region = entries.choice("region", AUDIENCE_COUNTRIES) or "jp"
    followers = entries.choice("followers", ("readable",))
    provider = entries.word("provider") or ""
    if entries.broken:
        return None
    return ir.Account(block.name.text, variable, provider, region, followers is not None, block.name.span)


def lower_upload(block: ast.Block, symbols: Symbols, zone: tzinfo, bag: Bag) -> ir.UploadSource | None:
    entries = reader(block, zone, bag)
    entries.require("file")
    entries.require("id")
    file = entries.string("file")
    ids = _ids(entries)
    if len(ids) > 1:
        entries.fail()
        bag.add(error("AUD0318", _key_span(entries, "id"), upload=block.name.text))
    column = entries.word("column")
    written_column = _id_columns(entries)
    if column is None and written_column and written_column[0].column is not None:
        column = written_column[0].column.text
    provider = entries.word("provider") or ""
    account = _account(entries, symbols) or ""
    if entries.broken or file is None or not ids:
        return None
    allow_empty = any(flag.text == "allow empty" for flag in block.flags)
    return ir.UploadSource(
        block.name.text, file, ids[0][0], column, provider, account, allow_empty, block.description, block.name.span
    )


def _id_columns(entries: Reader) -> tuple[ast.IdColumn, ...]:
    entry = entries.get("id")
    if entry is None or not isinstance(entry.value, tuple):
        return ()
    return tuple(column for column in entry.value if isinstance(column, ast.IdColumn))


def _ids(entries: Reader) -> tuple[tuple[ir.IdKind, str], ...]:
    """Kind and column of each id, in the order written; the column is the kind's name where none is."""
    entry = entries.get("id")
    if entry is None:
        return ()
    columns = _id_columns(entries)
    if not columns:
        entries.wrong(entry)
    found: dict[ir.IdKind, str] = {}
    for column in columns:
        kind = next((known for known in ID_KINDS if known == column.kind.text), None)
        if kind is None:
            near = nearest(column.kind.text, ID_KINDS)
            entries.fail()
            span = column.kind.span
            fixes = fix_near(span, near)
            text = column.kind.text
            entries.bag.add(error("AUD0307", span, fixes=fixes, entry="id", value=text, near=near, choices=ID_KINDS))
        elif kind in found:
            entries.fail()
            first = next(other for other in columns if other.kind.text == kind)
            entries.bag.add(error("AUD0302", column.span, labels=[Label(first.span, "first")], entry=kind))
        else:
            found[kind] = column.column.text if column.column else kind
    return tuple(found.items())


def _key_span(entries: Reader, key: str) -> Span:
    entry = entries.get(key)
    return entry.span if entry else entries.block.span


def lower_table(block: ast.Block, zone: tzinfo, bag: Bag) -> ir.TableSource | None:
    entries = reader(block, zone, bag)
    _one_origin(entries)
    entries.require("id")
    file, query, connection = entries.string("file"), entries.string("query"), entries.word("connection")
    ids = _ids(entries)
    time_column = entries.word("time")
    verbs = tuple(ir.Verb(v.name.text, block.name.text, v.column.text if v.column else None) for v in block.verbs)
    fresh = entries.hours("fresh")
    consent = entries.word("consent") or ""
    provider = entries.word("provider") or ""
    if entries.broken or not ids:
        return None
    return ir.TableSource(
        block.name.text,
        file or f"{connection}:{block.name.text}",
        ids,
        time_column,
        tuple(sorted(verbs, key=lambda verb: verb.name)),
        provider,
        fresh,
        consent,
        block.description,
        block.name.span,
        query=query or "",
        connection=connection or "",
    )


def _one_origin(entries: Reader) -> None:
    """A table is a file, or a query of a connection; of a query only a column says how old its rows are."""
    query, file = entries.get("query"), entries.get("file")
    if query is None and entries.get("connection") is None:
        entries.require("file")
        return
    if query is not None and file is not None:
        first, second = sorted((query, file), key=lambda entry: entry.key.span.start)
        entries.fail()
        labels = [Label(first.key.span, "first")]
        entries.bag.add(error("AUD0093", second.key.span, labels=labels, table=entries.block.name.text))
        return
    entries.require("query")
    entries.require("connection")
    fresh = entries.get("fresh")
    if query is not None and fresh is not None and entries.get("time") is None and not entries.unknown:
        entries.fail()
        entries.bag.add(error("AUD0094", fresh.key.span, table=entries.block.name.text))


def lower_coupon_of(
    block: ast.Block, symbols: Symbols, accounts: Mapping[str, ir.Account], zone: tzinfo, bag: Bag
) -> ir.Coupon | None:
    """A coupon and whose it is."""
    return lower_coupon(block, lambda entries: _delivery_account(entries, symbols, accounts), zone, bag)


def lower_message(block: ast.Block, symbols: Symbols, zone: tzinfo, bag: Bag) -> ir.Message | None:
    """A message with its one content; of a personal one also the table and the columns that it speaks of."""
    entries = reader(block, zone, bag)
    contents = [entry for key in _CONTENTS if (entry := entries.get(key)) is not None]
    for other in contents[1:]:
        entries.fail()
        labels = [Label(contents[0].key.span, "other")]
        bag.add(error("AUD0305", other.key.span, labels=labels, message=block.name.text))
    if not contents:
        entries.require("text")
    text, file, template = (entries.string(key) for key in _CONTENTS[:3])
    coupon, coupon_name = _coupon(entries, symbols)
    table = _declared(entries, "table", symbols)
    if table is not None and not _may_hold_user_ids(symbols.get(table)):
        entries.fail()
        bag.add(_no_user_ids(entries, table, symbols))
    fields = _fields(entries, symbols)
    if (block.fields or "table" in entries.entries) and "file" not in entries.entries:
        entries.require("template")
    written = entries.get("template")
    if any(field.pool is None for field in block.fields) or (written is not None and not block.fields):
        entries.require("table")
    if "table" in entries.entries and not block.fields and written is None:
        entries.fail()
        bag.add(error("AUD0397", entries.entries["table"].key.span, message=block.name.text))
    if written is not None and isinstance(written.value, ast.Text) and template is not None:
        sound = check_template(block.name.text, written.value, written, block.fields, fields, bag)
        entries.broken = entries.broken or not sound
    if entries.broken:
        return None
    name, description, span = block.name.text, block.description, block.name.span
    return ir.Message(
        name, text, file, template, coupon, table, fields, description, span, coupon_name=coupon_name
    )  # fmt: skip


def _coupon(entries: Reader, symbols: Symbols) -> tuple[str | None, str | None]:
    """The id of a message's coupon, or the name of a declared one."""
    entry = entries.get("coupon")
    if entry is None or not coupon_word(entry.value):
        return entries.string("coupon"), None
    return None, _declared(entries, "coupon", symbols)


def _may_hold_user_ids(symbol: Symbol | None) -> bool:
    """Whether a table has a column of LINE user ids, or errors of its own."""
    if symbol is None or symbol.broken or not isinstance(symbol.node, ast.Block):
        return True
    ids = [entry.value for entry in symbol.node.entries if entry.key.text == "id" and isinstance(entry.value, tuple)]
    return not ids or any(isinstance(one, ast.IdColumn) and one.kind.text == "user_id" for one in ids[0])


def _no_user_ids(entries: Reader, table: str, symbols: Symbols) -> Diagnostic:
    symbol = symbols.get(table)
    labels = [Label(symbol.span, "declared")] if symbol else []
    place = getattr(entries.entries["table"].value, "span", entries.block.name.span)
    return error("AUD1128", place, labels=labels, message=entries.block.name.text, table=table)


def _declared(entries: Reader, key: str, symbols: Symbols) -> str | None:
    """The name of a declared statement whose kind is the entry's key."""
    name, entry = entries.word(key), entries.get(key)
    if name is None or entry is None:
        return None
    return _of_kind(entries, name, getattr(entry.value, "span", entry.span), key, symbols)


def _of_kind(entries: Reader, name: str, span: Span, kind: str, symbols: Symbols) -> str | None:
    """The name where a statement of the kind declares it, else it is told."""
    symbol = symbols.get(name)
    if symbol is not None and (symbol.kind == kind or symbol.broken):
        return name
    entries.fail()
    if symbol is not None:
        labels = [Label(symbol.span, "declared")]
        entries.bag.add(error("AUD0204", span, labels=labels, name=name, kind=symbol.kind, wanted=kind))
    elif not symbols.may_be_unread(kind):
        near = nearest(name, symbols.of_kind(kind))
        entries.bag.add(error("AUD0207", span, fixes=fix_near(span, near), name=name, wanted=kind, near=near))
    return None


def _fields(entries: Reader, symbols: Symbols) -> tuple[ir.TemplateField, ...]:
    """The columns of a template in the order written, each once, with fallbacks of their types."""
    found: dict[str, ir.TemplateField] = {}
    for field in entries.block.fields:
        name, kind = field.name.text, next((known for known in _FIELD_TYPES if known == field.type), None)
        fallback = None if field.fallback is None else values.scalar(field.fallback, entries.zone)
        if name in found:
            first = next(other for other in entries.block.fields if other.name.text == name)
            labels = [Label(first.name.span, "first")]
            entries.bag.add(error("AUD0302", field.name.span, labels=labels, entry=name))
        elif field.pool is not None:
            pool = _of_kind(entries, field.pool.text, field.pool.span, "codes", symbols)
            if pool is None:
                continue
            found[name] = ir.TemplateField(name, "string", None, pool)
            continue
        elif kind is None:
            written, choices = str(field.type), _FIELD_TYPES
            entries.bag.add(error("AUD0307", field.span, entry=name, value=written, near=None, choices=choices))
        elif field.fallback is not None and not isinstance(fallback, _SCALARS[kind]):
            example = f"column {name}: {kind} = {_FALLBACKS[kind]}"
            entries.bag.add(error("AUD0303", field.fallback.span, entry=name, example=example))
        else:
            found[name] = ir.TemplateField(name, kind, fallback)
            continue
        entries.fail()
    return tuple(found.values())


# --- deliveries -------------------------------------------------------------------------------------


def lower_delivery(
    block: ast.Block, symbols: Symbols, accounts: Mapping[str, ir.Account], zone: tzinfo, bag: Bag
) -> ir.Delivery | None:
    """Everything of a delivery but its sets: `to` and `reach` are nobody until they are lowered."""
    entries = reader(block, zone, bag)
    sent = entries.string("sent")
    if "sent" in entries.entries:
        _refuse_with_sent(entries)
        entries.require("at")
    else:
        entries.require("to")
        entries.require("send")
    by = _by(entries)
    account = _delivery_account(entries, symbols, accounts)
    messages = _messages(entries, symbols)
    at = entries.moment("at")
    every = lower_every(entries)
    limit = entries.count("limit")
    expect = _expect(entries)
    quota = entries.choice("quota", ("forbid", "fill"))
    notification = entries.choice("notification", ("on", "off"))
    unit = _unit(entries)
    if entries.broken or account is None:
        return None
    flags = {flag.text for flag in block.flags}
    to = entries.get("to")
    return ir.Delivery(
        name=block.name.text,
        account=account,
        to=ir.NOBODY,
        reach=ir.NOBODY,
        to_text="",
        messages=messages,
        at=at,
        by="auto" if by is None or sent is not None else by,  # type: ignore[arg-type]
        limit=limit,
        expect=expect,
        quota="fill" if quota == "fill" else "forbid",
        notification=notification != "off",
        unit=unit,
        sent_request_id=sent,
        sent_by=by if sent is not None else None,
        allow_empty="allow empty" in flags or (to is not None and to.allow_empty),
        allow_shortfall="allow shortfall" in flags,
        description=block.description,
        span=block.name.span,
        every=every,
    )


def _refuse_with_sent(entries: Reader) -> None:
    """A delivery that was sent elsewhere is only referred to: nothing else of it can be said."""
    for key, entry in entries.entries.items():
        if key not in ("sent", "at", "by", "account"):
            entries.fail()
            entries.bag.add(error("AUD0313", entry.key.span, entry=key))


def _by(entries: Reader) -> str | None:
    entry = entries.get("by")
    if entry is not None and values.plain_text(entry.value) == "notice":
        entries.fail()
        entries.bag.add(error("AUD0315", entry.span, feature="notice"))
        return None
    return entries.choice("by", _SENT_BY if "sent" in entries.entries else _BY)


def _account(entries: Reader, symbols: Symbols) -> str | None:
    name, entry = entries.word("account"), entries.get("account")
    if name is None or entry is None or name in symbols.accounts:
        return name
    near = nearest(name, symbols.accounts)
    entries.fail()
    span = getattr(entry.value, "span", entry.span)
    if symbols.may_be_unread("account"):
        return None
    entries.bag.add(error("AUD0207", span, fixes=fix_near(span, near), name=name, wanted="account", near=near))
    return None


def _delivery_account(entries: Reader, symbols: Symbols, accounts: Mapping[str, ir.Account]) -> str | None:
    """The account that delivers: the one written, else the project's only one; None where it has errors, which
    are told of a delivery that is written to its end."""
    block = entries.block
    if "account" in entries.entries:
        name = _account(entries, symbols)
        return name if name in accounts else None
    declared = sorted(symbols.accounts)
    if len(declared) == 1:
        return declared[0] if declared[0] in accounts else None
    entries.fail()
    if entries.incomplete or symbols.may_be_unread("account"):
        return None
    if declared:
        entries.bag.add(error("AUD0344", block.name.span, delivery=block.name.text, accounts=tuple(declared)))
    else:
        entries.bag.add(error("AUD0346", block.name.span, delivery=block.name.text))
    return None


def _messages(entries: Reader, symbols: Symbols) -> tuple[str, ...]:
    entry = entries.get("send")
    if entry is None or "sent" in entries.entries:
        return ()
    items: Sequence[object] = entry.value if isinstance(entry.value, tuple) else (entry.value,)
    if not 1 <= len(items) <= MESSAGES_PER_SEND_MAX:
        entries.fail()
        entries.bag.add(error("AUD0311", entry.span, count=len(items), maximum=MESSAGES_PER_SEND_MAX))
    found: list[str] = []
    for item in items:
        name = values.plain_text(item)
        if name is None:
            entries.wrong(entry)
            return ()
        if _is_message(name, getattr(item, "span", entry.span), entries, symbols):
            found.append(name)
    return tuple(found)


def _is_message(name: str, span: Span, entries: Reader, symbols: Symbols) -> bool:
    symbol = symbols.get(name)
    if symbol is None:
        if not symbols.may_be_unread("message"):
            near = nearest(name, symbols.of_kind("message"))
            entries.bag.add(error("AUD0207", span, fixes=fix_near(span, near), name=name, wanted="message", near=near))
    elif symbol.kind != "message" and not symbol.broken:
        labels = [Label(symbol.span, "declared")]
        entries.bag.add(error("AUD0204", span, labels=labels, name=name, kind=symbol.kind, wanted="message"))
    else:
        return True
    entries.fail()
    return False


def _expect(entries: Reader) -> tuple[int | None, int | None] | None:
    entry = entries.get("expect")
    if entry is None:
        return None
    if not isinstance(entry.value, ast.PeopleRange):
        entries.wrong(entry)
        return None
    low, high = entry.value.low, entry.value.high
    if low is not None and high is not None and low > high:
        entries.fail()
        entries.bag.add(error("AUD0309", entry.value.span, low=str(low), high=str(high)))
        return None
    return low, high


def _unit(entries: Reader) -> str | None:
    unit, entry = entries.word("unit"), entries.get("unit")
    if unit is None or entry is None or UNIT_NAME.fullmatch(unit):
        return unit
    entries.fail()
    entries.bag.add(error("AUD0310", getattr(entry.value, "span", entry.span), value=unit))
    return None

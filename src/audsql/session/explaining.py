"""What a declared thing is, as a document (specs/explain.md, `explain.document`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from audsql.diag import Fact, has_errors
from audsql.line.limits import (
    AUDIENCE_LIFETIME_DAYS,
    RECIPIENTS_MIN,
    REDELIVERY_AGE_DAYS_MAX,
    RETARGETING_AGE_DAYS_MAX,
)
from audsql.meaning import ir
from audsql.meaning.flow import Branch, SendStep, Step, WaitFor, WaitUntil
from audsql.meaning.lineage import deep_atoms
from audsql.meaning.minimal import minimal
from audsql.meaning.words import atom_words, share_words
from audsql.session.coupons_explained import about_codes, about_coupon
from audsql.session.formulas import FORMULA_CHARACTERS_MAX, Known, formula, formula_text, known
from audsql.session.graphs import KINDS, Links, graph_node, links_of, reached, resolved
from audsql.session.project import Opened

__all__ = ["about_flow", "explain", "listing"]

Document = dict[str, Any]

STEPS_MAX = 50
_HOUR_MINUTES = 60
_DAY_MINUTES = 24 * _HOUR_MINUTES


def listing(opened: Opened) -> Document:
    """The names that can be explained, by kind."""
    found: dict[str, list[str]] = {kind: [] for kind in ("account", *KINDS[1:], "verb")}
    if opened.analysis is not None:
        symbols = opened.analysis.scope.symbols
        for space in (symbols.names, symbols.accounts, symbols.policies):
            for symbol in space.values():
                if symbol.kind in found:
                    found[symbol.kind].append(symbol.name)
        for split in opened.analysis.project.splits:
            found["split"].extend(f"{split.name}.{arm.name}" for arm in split.arms)
    names = {kind: sorted(names) for kind, names in sorted(found.items()) if names}
    return {"kind": "audsql.listing", "format_version": "1.0", "names": names}


def explain(opened: Opened, name: str) -> Document | None:
    """The document of a name, of an arm (`sale_test.a`), or of an address (`policy.house`); None where nothing is
    declared under it."""
    if opened.analysis is None:
        return None
    project, symbols = opened.analysis.project, opened.analysis.scope.symbols
    links, context = links_of(opened.analysis), known(project)
    symbol = symbols.names.get(name)
    if symbol is not None and symbol.kind == "verb":
        return _verb(opened, name, links)
    address = resolved(symbols, name)
    split_name, _, arm_name = name.rpartition(".")
    split = next((one for one in project.splits if one.name == split_name), None)
    if address is None and split is not None and any(arm.name == arm_name for arm in split.arms):
        return _arm(split, arm_name, context, links)
    if address is None or address not in links.nodes:
        return None
    head = graph_node(address, links.nodes[address])
    sets, points = _body(project, head["kind"], head["name"], context, links)
    if not sets and not points and has_errors((*opened.diagnostics, *opened.findings)):
        points = [_point("broken")]
    return _document(head, address, sets, points, links)


def _document(
    head: Document, address: str, sets: Iterable[Document], points: Iterable[Document], links: Links
) -> Document:
    uses, used_by = links.uses.get(address, ()), links.used_by.get(address, ())
    return {
        "format_version": "1.0",
        **head,
        "sets": list(sets),
        "points": list(points),
        "uses": list(uses),
        "uses_through": sorted(reached(address, links.uses) - {*uses, address}),
        "used_by": list(used_by),
        "used_by_through": sorted(reached(address, links.used_by) - {*used_by, address}),
    }


def _point(say: str, **facts: Fact) -> Document:
    """`say` is a word of the catalogue below `about`, `facts` what stands in it."""
    return {"say": say, "facts": facts}


def _set(role: str, expression: ir.Expression, context: Known, written: str = "") -> Document:
    """A set of the thing: what it means, whom it reaches. `written` is its text as it stands in the spec; the
    formula is the shortest that means the same."""
    shortest = minimal(expression)
    return {
        "role": role,
        "written": _cut(written),
        "text": formula_text(shortest, context),
        "formula": formula(shortest, context),
    }


def _cut(text: str) -> str:
    return text if len(text) <= FORMULA_CHARACTERS_MAX else f"{text[:FORMULA_CHARACTERS_MAX]} ..."


_Body = tuple[list[Document], list[Document]]


def _body(project: ir.Project, kind: str, name: str, context: Known, links: Links) -> _Body:
    """The sets and the points of one declared thing; nothing of one that has errors."""
    rows: Mapping[str, Sequence[Any]] = {
        "account": project.accounts, "upload": project.uploads, "table": project.tables, "message": project.messages,
        "codes": project.code_pools, "coupon": project.coupons,
        "audience": project.audiences, "split": project.splits, "delivery": project.deliveries, "flow": project.flows,
    }  # fmt: skip
    if kind == "policy":
        return _policy(project, name, context)
    row = next((one for one in rows[kind] if one.name == name), None)
    match row:
        case ir.Audience():
            points = [*_about_set(row.expression, row.id_kind, project, context)]
            return [_set("means", row.expression, context, row.text)], points
        case ir.Split():
            return _split(row, project, context)
        case ir.Delivery():
            return _delivery(row, project, context, links)
        case ir.Flow():
            return about_flow(row, context)
        case ir.UploadSource():
            return [], list(_upload(row))
        case ir.TableSource():
            return [], list(_table(row))
        case ir.Message():
            return [], list(_message(row))
        case ir.Account():
            return [], list(_account(row))
        case ir.Coupon():
            return [], list(about_coupon(row, context.zone))
        case ir.CodePool():
            return [], list(about_codes(row))
        case _:
            return [], []


# --- sets -------------------------------------------------------------------------------------------


def _about_set(
    expression: ir.Expression, id_kind: ir.IdKind | None, project: ir.Project, context: Known
) -> Iterator[Document]:
    """What holds of a set whoever is in it: the kind of its ids, whether it can be listed, LINE's limits."""
    atoms = deep_atoms(expression)
    if id_kind is not None:
        yield _point("id_kind", id_kind=id_kind)
        readable = {account.name for account in project.accounts if account.followers_readable}
        opaque = [atom for atom in atoms if atom.world != "own" and not _is_readable(atom, readable)]
        if opaque:
            yield _point("opaque", atom=atom_words(opaque[0], context.verbs), count=len(opaque) - 1 or None)
        else:
            yield _point("listable")
    if any(isinstance(atom, ir.Clicked | ir.Opened) for atom in atoms):
        yield _point("limit_clicks", days=RETARGETING_AGE_DAYS_MAX)
    if any(isinstance(atom, ir.Received) for atom in atoms):
        yield _point("limit_received", days=REDELIVERY_AGE_DAYS_MAX)
    if any(atom.world != "own" and not isinstance(atom, ir.Friends | ir.Lookalike) for atom in atoms):
        yield _point("limit_few", count=RECIPIENTS_MIN)
    for table in sorted({atom.table for atom in atoms if isinstance(atom, ir.Mapped)}):
        yield _point("linkage", table=table)
    if any(isinstance(atom, ir.Lookalike) for atom in atoms):
        yield _point("lookalike")
    if any(isinstance(atom, ir.Attribute) for atom in atoms):
        yield _point("estimates")
    if _denies_estimates(expression):
        yield _point("not_estimates")


def _is_readable(atom: ir.Atom, readable: set[str]) -> bool:
    return isinstance(atom, ir.Friends) and atom.account in readable


def _denies_estimates(expression: ir.Expression) -> bool:
    """Whether an estimated attribute stands below a NOT; each node is looked at once on either side of one."""
    seen: set[tuple[str, bool]] = set()
    waiting: list[tuple[ir.Expression, bool]] = [(expression, False)]
    while waiting:
        node, denied = waiting.pop()
        if (node.key, denied) in seen:
            continue
        seen.add((node.key, denied))
        if denied and isinstance(node, ir.Leaf) and isinstance(node.atom, ir.Attribute):
            return True
        waiting.extend((part, denied or isinstance(node, ir.Not)) for part in ir.children(node))
    return False


def _split(split: ir.Split, project: ir.Project, context: Known) -> _Body:
    arms = [_point("arm", arm=arm.name, share=share_words(arm.hundredths)) for arm in split.arms]
    points = [*arms, _point("salt", salt=split.salt), *_about_set(split.expression, split.id_kind, project, context)]
    return [_set("splits", split.expression, context, split.text)], points


def _arm(split: ir.Split, name: str, context: Known, links: Links) -> Document:
    arm = next(arm for arm in split.arms if arm.name == name)
    node = links.nodes[f"split.{split.name}"]
    head = {
        **graph_node(f"split.{split.name}", node), "address": f"split.{split.name}.{name}", "kind": "arm",
        "name": f"{split.name}.{name}",
    }  # fmt: skip
    points = [_point("arm_of", split=split.name, share=share_words(arm.hundredths)), _point("salt", salt=split.salt)]
    document = _document(head, f"split.{split.name}", [_set("means", arm.expression, context)], points, links)
    return {**document, "text": document["sets"][0]["text"]}


def _policy(project: ir.Project, name: str, context: Known) -> _Body:
    sets: list[Document] = []
    points: list[Document] = []
    for exclude in project.policies:
        if exclude.name == name:
            sets.append(_set("excludes", exclude.expression, context, exclude.text))
            points.extend(_exceptions(exclude.text, exclude.exceptions))
    for rule in project.requirements:
        if rule.name != name:
            continue
        match rule:
            case ir.RequireWithin():
                sets.append(_set("requires", rule.expression, context, rule.text))
            case ir.RequireMeasure():
                value = None if rule.value is None else format(rule.value, "f")
                points.append(_point(f"require_{rule.measure}", operator=rule.operator, value=value))
            case ir.RequireTested():
                points.append(_point("require_tested"))
            case ir.Quiet():
                start, end = _clock(rule.start_minutes), _clock(rule.end_minutes)
                points += [_point("quiet", start=start, end=end), *_over(rule)]
            case ir.Cap():
                points += [_point("cap", count=rule.count, days=rule.days), *_over(rule)]
        points.extend(_exceptions("", rule.exceptions))
    return sets, points


def _over(rule: ir.Quiet | ir.Cap) -> Sequence[Document]:
    """What becomes of a send that the rule stands against."""
    return [_point(f"over_{rule.over or 'default'}")]


def _exceptions(rule: str, names: Sequence[str]) -> Sequence[Document]:
    return [_point("exceptions", rule=rule, names=tuple(names))] if names else []


def _clock(minutes: int) -> str:
    return f"{minutes // _HOUR_MINUTES:02}:{minutes % _HOUR_MINUTES:02}"


# --- deliveries -------------------------------------------------------------------------------------


def _delivery(delivery: ir.Delivery, project: ir.Project, context: Known, links: Links) -> _Body:
    """Whom it reaches, and where that is not all of `to`, what was written and what is taken away."""
    points = list(_how(delivery, context.zone))
    if delivery.sent_request_id is not None:
        return [], points
    sets = [_set("reaches", delivery.reach, context)]
    if delivery.reach != delivery.to:
        sets.append(_set("to", delivery.to, context, delivery.to_text))
    policies = [one for one in project.policies if one.name in delivery.policies]
    points += [_point("less_policy", name=one.name, text=one.text) for one in policies]
    if delivery.behind:
        points.append(_point("behind", names=delivery.behind))
    points += _about_set(delivery.reach, None, project, context)
    if any(atom.world == "own" or isinstance(atom, ir.Clicked | ir.Opened) for atom in ir.atoms_of(delivery.reach)):
        points.append(_point("limit_expires", days=AUDIENCE_LIFETIME_DAYS))
    return sets, points


def _how(delivery: ir.Delivery, zone: ZoneInfo) -> Iterator[Document]:
    """What is sent, by which account, when and how."""
    if delivery.account:
        yield _point("by_account", account=delivery.account)
    if delivery.sent_request_id is not None:
        yield _point("sent_elsewhere", request=delivery.sent_request_id)
    if delivery.messages:
        yield _point("sends", messages=delivery.messages)
    if delivery.every is not None:
        yield from _every(delivery.every, zone)
    elif delivery.at is not None:
        yield _point("at", at=delivery.at.astimezone(zone).strftime("%Y-%m-%d %H:%M"), zone=zone.key)
    elif delivery.sent_request_id is None:
        yield _point("once")
    if delivery.by != "auto":
        yield _point("by", by=delivery.by)
    if delivery.limit is not None:
        yield _point("limit", count=delivery.limit)
    if delivery.expect is not None:
        low, high = delivery.expect
        say = "expect" if None not in (low, high) else "expect_from" if low is not None else "expect_to"
        yield _point(say, low=low, high=high)
    if delivery.quota == "fill":
        yield _point("quota_fill")
    if not delivery.notification:
        yield _point("silent")
    if delivery.unit is not None:
        yield _point("unit", unit=delivery.unit)


def _every(every: ir.Every, zone: ZoneInfo) -> Iterator[Document]:
    time = f"{every.hour:02}:{every.minute:02}"
    weekday = None if every.weekday is None else str(every.weekday)
    yield _point(f"every_{every.unit}", time=time, weekday=weekday, day=every.day, zone=zone.key)
    for say, moment in (("every_from", every.start), ("every_until", every.end)):
        if moment is not None:
            yield _point(say, at=moment.astimezone(zone).strftime("%Y-%m-%d %H:%M"))
    yield _point(f"catch_up_{every.catch_up}")


# --- flows ------------------------------------------------------------------------------------------


def about_flow(flow: ir.Flow, context: Known) -> tuple[list[Document], list[Document]]:
    """The sets and the points of a flow: how it begins, its steps in order, who leaves it and who may come back."""
    sets: list[Document] = []
    points: list[Document] = []
    start = flow.start
    if start.expression is not None:
        sets.append(_set("starts", start.expression, context))
    elif start.kind == "row":
        points.append(_point("starts_row", table=start.table))
    else:
        points.append(_point("starts_follow_via" if start.via else "starts_follow", via=start.via))
    points.extend(_steps(flow.steps, context))
    if flow.exit != ir.NOBODY:
        sets.append(_set("exits", flow.exit, context))
    if flow.exclude != ir.NOBODY:
        sets.append(_set("excluded", flow.exclude, context))
    if flow.reentry_minutes is None:
        points.append(_point("reentry_never"))
    else:
        points.append(
            _point("reentry_after" if flow.reentry_minutes else "reentry_always", **_long(flow.reentry_minutes))
        )
    return sets, points


def _steps(steps: Sequence[Step], context: Known) -> Iterator[Document]:
    """The steps in order, at most STEPS_MAX of them; an arm's own steps after it, one level deeper."""
    waiting: list[tuple[int, Step | tuple[str, ir.Expression]]] = [(0, step) for step in reversed(steps)]
    for _ in range(STEPS_MAX):
        if not waiting:
            return
        depth, step = waiting.pop()
        match step:
            case WaitFor(minutes):
                yield {**_point("wait", **_long(minutes)), "depth": depth}
            case WaitUntil(hour, minute):
                yield {**_point("wait_until", time=f"{hour:02}:{minute:02}"), "depth": depth}
            case SendStep(messages):
                yield {**_point("step_send", messages=messages), "depth": depth}
            case Branch(arms):
                yield {**_point("branch"), "depth": depth}
                for arm in reversed(arms):
                    waiting.extend((depth + 2, inner) for inner in reversed(arm.steps))
                    waiting.append((depth + 1, ("arm", arm.expression)))
            case (_, expression):
                text = formula_text(expression, context)
                yield {**_point("branch_arm", text=text), "formula": formula(expression, context), "depth": depth}
    if waiting:
        yield _point("more_steps", count=len(waiting))


def _long(minutes: int) -> dict[str, Fact]:
    """A length of time in its largest whole unit."""
    for unit, size in (("day", _DAY_MINUTES), ("hour", _HOUR_MINUTES)):
        if minutes and minutes % size == 0:
            return {"count": minutes // size, "unit": unit}
    return {"count": minutes, "unit": "minute"}


# --- sources, messages, accounts --------------------------------------------------------------------


def _upload(upload: ir.UploadSource) -> Iterator[Document]:
    yield _point("list_of", id_kind=upload.id_kind, file=upload.file)
    if upload.column is not None:
        yield _point("column", column=upload.column)
    if upload.provider:
        yield _point("provider", provider=upload.provider)
    if upload.account:
        yield _point("account", account=upload.account)
    if upload.allow_empty:
        yield _point("allow_empty")


def _table(table: ir.TableSource) -> Iterator[Document]:
    yield _point("table_of", file=table.file)
    for kind, column in table.ids:
        yield _point("id_column", id_kind=kind, column=column)
    if table.time_column is not None:
        yield _point("time_column", column=table.time_column)
    for verb in table.verbs:
        yield _point("verb" if verb.column else "verb_plain", verb=verb.name, column=verb.column)
    if table.fresh_hours is not None:
        yield _point("fresh", hours=table.fresh_hours)
    if table.consent:
        yield _point("consent", consent=table.consent)
    if table.provider:
        yield _point("provider", provider=table.provider)


def _verb(opened: Opened, name: str, links: Links) -> Document | None:
    """A verb stands in its table: it uses the table and is used where the table is."""
    assert opened.analysis is not None
    symbol = opened.analysis.scope.symbols.names[name]
    verb = opened.analysis.scope.verbs.get(name)
    head = {**graph_node(f"verb.{name}", symbol)}
    if verb is None:
        return _document(head, head["address"], [], [_point("broken")], links)
    address = f"table.{verb.table}"
    point = _point("verb_of" if verb.column else "verb_of_plain", verb=name, table=verb.table, column=verb.column)
    return {**_document(head, address, [], [point], links), "uses": [address]}


def _message(message: ir.Message) -> Iterator[Document]:
    for say in ("text", "file", "template", "coupon", "coupon_name"):
        value = getattr(message, say)
        if value is not None:
            yield _point(f"message_{say}", value=value)
    if message.table is not None:
        yield _point("message_table", table=message.table)
    for one in message.fields:
        if one.pool:
            yield _point("field_codes", name=one.name, pool=one.pool)
            continue
        fallback = None if one.fallback is None else str(one.fallback)
        say = "field" if fallback is None else "field_fallback"
        yield _point(say, name=one.name, type=one.type, fallback=fallback)


def _account(account: ir.Account) -> Iterator[Document]:
    yield _point("token", variable=account.token_variable)
    yield _point("region", region=account.region)
    if account.provider:
        yield _point("provider", provider=account.provider)
    if account.followers_readable:
        yield _point("followers")

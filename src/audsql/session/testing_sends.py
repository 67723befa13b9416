"""`send-test`: the messages of a delivery or a flow to a declared list of testers, and to nobody else.

Rules: `tested.*` of specs/operations.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from audsql.catalog import word
from audsql.diag import Diagnostic, error, has_errors
from audsql.near import nearest
from audsql.records import dataclass
from audsql.session.applying import ApplyOptions, ApplyOutcome, carried
from audsql.session.project import Opened, check

if TYPE_CHECKING:
    from audsql.apply.context import Context
    from audsql.apply.personal import Wording
    from audsql.apply.tested import Tally
    from audsql.data.engine import RowColumn, TableRow
    from audsql.meaning.ir import Delivery, Flow, Project, UploadSource

__all__ = ["TestOptions", "send_test"]

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class TestOptions:
    """`to`: the name of the upload with the testers. `row_of`: a LINE user ID whose row fills in personal messages for
    every tester; None: each tester's own. `language`: of the mark."""

    to: str
    row_of: str | None = None
    language: str = "en"


def send_test(opened: Opened, target: str, options: TestOptions, apply_options: ApplyOptions) -> ApplyOutcome:
    """Send what `target` would send (`sale`, `welcome`, or one step of it, `welcome.2.0`) to the testers, marked as a
    test. Exit codes as of `apply`: 0 each tester was sent it, 4 LINE did not take it for all, 5 refused by a pause."""
    problems = check(opened, compiles=True)
    if opened.analysis is None or has_errors(problems):
        return ApplyOutcome(None, problems, 1)
    project = opened.analysis.project
    owner, problem = _owner(project, target)
    if owner is None:
        return ApplyOutcome(None, (problem,) if problem else (), 1)
    upload = next((one for one in project.uploads if one.name == options.to), None)
    if upload is None or upload.id_kind != "user_id":
        names = tuple(one.name for one in project.uploads if one.id_kind == "user_id")
        problem = error("AUD0832", None, list=options.to, declared=upload is not None, near=nearest(options.to, names))
        return ApplyOutcome(None, (problem,), 1)
    tests: list[Document] = []
    outcome = carried(
        opened, apply_options, "send-test", lambda context: _work(context, owner, target, upload, options, tests)
    )
    if outcome.document is None:
        return outcome
    document = {
        "kind": "audsql.send-test",
        "format_version": "1.0",
        "target": target,
        "to": options.to,
        "tests": tests,
        "exit_code": outcome.exit_code,
    }
    return replace(outcome, document=document)


def _owner(project: Project, target: str) -> tuple[Delivery | Flow | None, Diagnostic | None]:
    """The delivery or flow that is named, or whose step is."""
    from audsql.plan.said import sends_of

    deliveries = [one for one in project.deliveries if one.sent_request_id is None]
    owners: list[Delivery | Flow] = [*deliveries, *project.flows]
    labels: dict[str, Delivery | Flow] = {label: one for one in owners for label, _ in sends_of(one)}
    found = next((one for one in owners if one.name == target), None) or labels.get(target)
    if found is not None:
        return found, None
    near = nearest(target, tuple(sorted({*labels, *(one.name for one in owners)})))
    return None, error("AUD0831", None, target=target, near=near)


# --- the work ---------------------------------------------------------------------------------------


def _work(
    context: Context,
    owner: Delivery | Flow,
    target: str,
    upload: UploadSource,
    options: TestOptions,
    tests: list[Document],
) -> int:
    from audsql.apply.pausing import held_back, pause_of
    from audsql.apply.tested import TESTERS_MAX
    from audsql.plan.said import sends_of

    kind = "delivery" if context.project.delivery(owner.name) else "flow"
    pause = pause_of(context.state(), context.project, owner.name if kind == "delivery" else f"flow.{owner.name}")
    if pause is not None:
        context.diagnostics.append(held_back(owner.name, pause, context.project.timezone))
        return 5
    testers = _testers(context, upload)
    if testers is None:
        return 1
    if not 1 <= len(testers) <= TESTERS_MAX:
        context.diagnostics.append(error("AUD0833", None, list=upload.name, count=len(testers), limit=TESTERS_MAX))
        return 1
    chosen = [(label, names) for label, names in sends_of(owner) if target in (owner.name, label)]
    return max(_one(context, owner, label, names, testers, options, tests) for label, names in chosen)


def _testers(context: Context, upload: UploadSource) -> tuple[str, ...] | None:
    """The user IDs of the list, sorted; None where it cannot be read."""
    from audsql.meaning.ir import Uploaded, leaf

    atom = leaf(Uploaded(upload.name))
    found, problems = context.engine.materialise((atom.atom,), context.steady_now())
    context.diagnostics.extend(problems)
    if has_errors(problems):
        return None
    return tuple(sorted(context.engine.members(context.engine.evaluate(atom, found.people))))


def _one(
    context: Context,
    owner: Delivery | Flow,
    label: str,
    names: Sequence[str],
    testers: Sequence[str],
    options: TestOptions,
    tests: list[Document],
) -> int:
    """One send of the target, begun, made and written down."""
    from audsql.apply.tested import TestSend, begin, finish, push_all
    from audsql.line.messages import text_message
    from audsql.plan.tested import tested_digest

    digest = tested_digest(names, context.project, context.messages)
    rendered, invented = _rendered(context, owner.account, names, testers, options.row_of)
    mark = text_message(word("test.mark", options.language, name=label, by=context.options.holder))
    send = TestSend(label, owner.account, digest, mark, rendered)
    tally = push_all(context, send, begin(context, send, options.to))
    complete = tally.sent == len(testers)
    if complete:
        finish(context, send, options.to)
    else:
        context.diagnostics.append(_incomplete(label, tally, len(testers)))
    tests.append(
        {
            "target": label, "digest": digest, "messages": list(names), "testers": len(testers), "sent": tally.sent,
            "refused": tally.refused, "unknown": tally.unknown, "invented": invented, "tested": complete,
        }
    )  # fmt: skip
    return 0 if complete else 4


def _incomplete(label: str, tally: Tally, count: int) -> Diagnostic:
    return error(
        "AUD0834", None, target=label, sent=tally.sent, count=count, unknown=tally.unknown or None,
        place=tally.place, detail=tally.detail or None,
    )  # fmt: skip


# --- what each tester gets ----------------------------------------------------------------------------


def _rendered(
    context: Context, account: str, names: Sequence[str], testers: Sequence[str], row_of: str | None
) -> tuple[dict[str, Sequence[Any]], int]:
    """By tester the message objects, as a send would make them, and for how many testers values had to be invented. A
    code is always invented: real ones are given to customers only."""
    from audsql.apply.coupons import filled
    from audsql.apply.personal import wording_of

    project = context.project
    messages = {name: filled(context, context.messages.get(name, ())) for name in names}
    wording = wording_of(
        names, messages, {one.name: one for one in project.messages if one.personal}, ZoneInfo(project.timezone)
    )
    found = _words(context, account, wording, testers, row_of or "")
    left = [one for one in testers if one not in found]
    if left:
        found |= _words(context, account, wording, left, row_of or "", invented=True)
    return found, len(left)


def _words(
    context: Context, account: str, wording: Wording, testers: Sequence[str], row_of: str, *, invented: bool = False
) -> dict[str, Sequence[Any]]:
    """The words of those for whom there are any; of everybody where values are `invented`."""
    from audsql.apply.context import Stop
    from audsql.apply.personal import render_people

    now = context.steady_now()
    people = [row_of or one for one in testers]
    codes = {pool: [f"TEST-{pool}"] * len(testers) for pool in wording.pools}
    rows = {table: [_invented(columns, now)] * len(testers) for table, columns in wording.columns.items()}
    rendered, problems = render_people(
        context.engine, wording, people, now, codes=codes, given=rows if invented else None, account=account
    )
    if rendered is None:
        raise Stop(1, problems)
    try:
        return {testers[number]: one.messages for one in rendered.groups() for number in one.people}
    finally:
        rendered.close()


def _invented(columns: Sequence[RowColumn], now: datetime) -> TableRow:
    """A row of nobody: the columns' names as texts, a number, the next day."""
    from audsql.data.engine import RowValue, TableRow

    values: dict[str, RowValue] = {"number": Decimal(100), "date": now + timedelta(days=1)}
    return TableRow("", None, tuple(values.get(one.type, f"TEST-{one.name}") for one in columns))

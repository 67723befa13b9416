"""Short names for the atoms and deliveries that the compiler's tests speak of."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from audsql.compile.program import CompiledDelivery, Program
from audsql.compile.project import compile_project
from audsql.diag import Diagnostic
from audsql.meaning import ir

FRIENDS = ir.leaf(ir.Friends("shop"))


def uploaded(name: str) -> ir.Expression:
    return ir.leaf(ir.Uploaded(name))


def purchased(product: str, days: int | None = None) -> ir.Expression:
    conditions: tuple[ir.RowCondition, ...] = (ir.ColumnCompare("product", "=", product),)
    return ir.leaf(ir.Rows("orders", conditions if days is None else (*conditions, ir.Last(days, "day"))))


def clicked(delivery: str, url: str | None = None) -> ir.Expression:
    return ir.leaf(ir.Clicked(delivery, url))


def opened(delivery: str) -> ir.Expression:
    return ir.leaf(ir.Opened(delivery))


def received(delivery: str) -> ir.Expression:
    return ir.leaf(ir.Received(delivery))


def tag(name: str) -> ir.Expression:
    return ir.leaf(ir.RemoteAudience("shop", "CHAT_TAG", name))


def attribute(family: Any, *values: str) -> ir.Expression:
    return ir.lor(*(ir.leaf(ir.Attribute(family, value)) for value in values))


def less(kept: ir.Expression, *excluded: ir.Expression) -> ir.Expression:
    return ir.land(kept, *(ir.lnot(part) for part in excluded))


def delivery(name: str, reach: ir.Expression, **entries: Any) -> ir.Delivery:
    entries.setdefault("at", datetime(2026, 12, 1, 10))
    return ir.Delivery(name, "shop", reach, reach, "as written", ("m",), **entries)


def sent(name: str) -> ir.Delivery:
    return ir.Delivery(name, "shop", ir.NOBODY, ir.NOBODY, "", sent_request_id="r", sent_by="narrowcast")


def project(*deliveries: ir.Delivery) -> ir.Project:
    ordered = tuple(sorted(deliveries, key=lambda one: one.name))
    tables = (
        ir.TableSource("orders", "o.csv", (("user_id", "u"),), verbs=(ir.Verb("purchased", "orders", "product"),)),
    )
    return ir.Project("p", "Asia/Tokyo", (ir.Account("shop", "T"),), tables=tables, deliveries=ordered)


def compiled(reach: ir.Expression, **entries: Any) -> tuple[CompiledDelivery, Program]:
    program, problems = compile_project(project(delivery("sale", reach, **entries)))
    assert not problems, problems
    return program.deliveries[0], program


def refused(reach: ir.Expression, **entries: Any) -> Diagnostic:
    program, problems = compile_project(project(delivery("sale", reach, **entries)))
    assert len(problems) == 1 and not program.deliveries
    return problems[0]

"""How a delivery is compiled to LINE, as a document (specs/explain.md, `explain.compile`).

Nothing is read and nothing is asked of LINE: the document speaks of kinds of people, never of anybody.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from audsql.compile.bind import without_empty
from audsql.compile.least import Least
from audsql.compile.program import (
    AudienceLeaf,
    Multicast,
    Narrowcast,
    Program,
    Recipient,
    RedeliveryLeaf,
    filter_leaves,
    recipient_leaves,
)
from audsql.compile.project import parts_for
from audsql.compile.sends import Compiled, compile_shown, split_of
from audsql.compile.trees import leaf_key
from audsql.compile.uploads import cell_function, own_expression
from audsql.compile.working import Working
from audsql.diag import Diagnostic, has_errors
from audsql.line.limits import FILTER_LEAVES_MAX, RECIPIENT_LEAVES_MAX
from audsql.line.recipient import filter_json, recipient_json
from audsql.meaning import ir
from audsql.meaning.minimal import minimal
from audsql.plan.definition import filter_document, recipient_document
from audsql.session import compiled_matrix
from audsql.session.compiled_facts import facts_document
from audsql.session.compiled_matrix import Matrix, group_numbers, matrix_of
from audsql.session.formulas import Known, formula, formula_text, known
from audsql.session.graphs import resolved
from audsql.session.project import Opened

__all__ = ["compiled", "compiled_delivery", "deliveries"]

Document = dict[str, Any]

GROUPS_MAX = 24
ROWS_MAX = 24
COLUMNS_MAX = 8
PAIRS_MAX = 10
_SHORTENED_ATOMS_MAX = 6
_REACHED = {"AUD0404": "set", "AUD0403": "groups", "AUD0402": "sends", "AUD0401": "uploads", "AUD0411": "sends"}


def deliveries(opened: Opened) -> tuple[str, ...]:
    """The names of the project's deliveries, sorted."""
    if opened.analysis is None:
        return ()
    names = opened.analysis.scope.symbols.names
    return tuple(sorted(symbol.name for symbol in names.values() if symbol.kind == "delivery"))


def compiled(opened: Opened, name: str) -> tuple[Document | None, tuple[Diagnostic, ...]]:
    """The document of a delivery's name or address, and what is wrong beside the problems of reading; no document
    where no delivery has the name."""
    if opened.analysis is None:
        return None, ()
    project = opened.analysis.project
    address = resolved(opened.analysis.scope.symbols, name)
    kind, _, own = (address or "").partition(".")
    if kind != "delivery":
        return None, ()
    delivery = next((one for one in project.deliveries if one.name == own), None)
    if delivery is None or has_errors((*opened.diagnostics, *opened.findings)):
        return _head(own, "", "", "broken"), opened.findings
    if delivery.sent_request_id is not None:
        return _head(own, delivery.account, delivery.by, "elsewhere"), ()
    return compiled_delivery(delivery, project)


def _head(name: str, account: str, by: str, outcome: str) -> Document:
    """A document of which nothing is known yet; all names are there, whatever comes of it."""
    return {
        "kind": "audsql.compile", "format_version": "1.0", "address": f"delivery.{name}", "name": name,
        "account": account, "by": by, "outcome": outcome, "error": None, "set": None, "to": None, "policies": [],
        "behind": [], "conditions": [], "facts": {"used": [], "unused": [], "left_out": 0}, "groups": [],
        "groups_left_out": 0, "uploads": [], "labels": {}, "matrix": None, "sends": [], "apart": [], "exposed": [],
        "least": None, "fallbacks": [], "empty": [],
    }  # fmt: skip


def compiled_delivery(delivery: ir.Delivery, project: ir.Project) -> tuple[Document, tuple[Diagnostic, ...]]:
    """The document of a delivery of the project that is sent from here, and what is wrong with it."""
    context = known(project)
    parts, problems = parts_for(delivery, project)
    document = {**_head(delivery.name, delivery.account, delivery.by, "refused"), **_about(delivery, project, context)}
    if problems:
        return {**document, "error": _error(problems[0], "set")}, problems
    document["conditions"] = [*_conditions(delivery, parts, context)]
    result, problems, working = compile_shown(delivery, parts, context.verbs, context.arms)
    if working is not None:
        document |= _working(working, result, context)
    elif delivery.by not in ("push", "broadcast"):
        document |= _split(delivery, parts, context)
    if result is None:
        reached = "all" if working is not None else _REACHED.get(problems[0].code, "kind")
        return {**document, "error": _error(problems[0], reached)}, problems
    if working is None:
        document["sends"] = [_plain_send(send, context) for send in result.delivery.sends]
    kinds = {send.kind for send in result.delivery.sends}
    outcome = "nothing" if not kinds else "narrowcasts" if "narrowcast" in kinds else kinds.pop()
    return {**document, "outcome": outcome}, problems


def _error(problem: Diagnostic, reached: str) -> Document:
    facts = {name: list(fact) if isinstance(fact, tuple) else fact for name, fact in problem.facts}
    return {"code": problem.code, "facts": facts, "reached": reached}


# --- the set ----------------------------------------------------------------------------------------


def _about(delivery: ir.Delivery, project: ir.Project, context: Known) -> Document:
    policies = [one for one in project.policies if one.name in delivery.policies]
    return {
        "set": _whole_set(delivery.reach, context),
        "to": None if delivery.reach == delivery.to else _whole_set(delivery.to, context),
        "policies": [{"name": one.name, "text": one.text} for one in policies],
        "behind": list(delivery.behind),
    }


def _whole_set(expression: ir.Expression, context: Known) -> Document:
    shortest = minimal(expression)
    return {"text": formula_text(shortest, context), "formula": formula(shortest, context)}


def _set(expression: ir.Expression, context: Known) -> Document:
    """A part of the set; of many atoms as the compiler wrote it, for there may be many parts."""
    if len(ir.atoms_of(expression)) <= _SHORTENED_ATOMS_MAX:
        return _whole_set(expression, context)
    return {"text": formula_text(expression, context), "formula": formula(expression, context)}


def _text(atom: ir.Atom, context: Known) -> str:
    return formula_text(ir.leaf(atom), context)


def _conditions(delivery: ir.Delivery, parts: Any, context: Known) -> Iterator[Document]:
    """The sets that the delivery is built of, by who holds them; `is`: a `set`, or `everybody` or `nobody` here."""
    for world in ("own", "line", "attribute"):
        for atom in sorted(ir.atoms_of(delivery.reach), key=lambda one: one.key):
            if atom.world == world:
                yield {"world": world, "text": _text(atom, context), "is": _taken_as(atom, delivery, parts)}


def _taken_as(atom: ir.Atom, delivery: ir.Delivery, parts: Any) -> str:
    if isinstance(atom, ir.Friends) and atom.account in ("", delivery.account):
        return "everybody"
    target = atom.delivery if isinstance(atom, ir.Clicked | ir.Opened | ir.Received) else None
    return "nobody" if target is not None and parts.get(target) == () else "set"


# --- groups and uploads -----------------------------------------------------------------------------


def _split(delivery: ir.Delivery, parts: Any, context: Known) -> Document:
    """As far as a delivery comes that is not sent by narrowcast or cannot be sent."""
    split = split_of(delivery, parts, context.verbs, context.arms)
    if split is None:
        return {}
    return {"facts": facts_document(delivery.reach, lambda atom: _text(atom, context)), **_groups(split, (), context)}


def _groups(split: Any, encoding: Sequence[int], context: Known) -> Document:
    groups = []
    for number, cell in enumerate(group_numbers(split)[:GROUPS_MAX], 1):
        expression = own_expression(split, cell_function(split, 1 << cell))
        uploads = [bit for bit, mask in enumerate(encoding, 1) if mask >> cell & 1]
        told = [_text(atom, context) for atom in ir.atoms_of(expression)]
        group = {"number": number, "unlisted": cell == 0, **_set(expression, context), "own": sorted(told)}
        groups.append({**group, "uploads": uploads})
    return {"groups": groups, "groups_left_out": len(split.cells) - len(groups)}


def _working(working: Working, result: Compiled | None, context: Known) -> Document:
    split, encoding = working.split, working.cover.encoding
    matrix = matrix_of(working)
    return {
        "facts": facts_document(working.function, lambda atom: _text(atom, context)),
        **_groups(split, encoding, context),
        "uploads": [*_uploads(working, result, context)],
        "labels": _labels(working),
        "matrix": None if matrix is None else _matrix(working, matrix, context),
        "sends": [*_sends(working, matrix, context)],
        "apart": [] if matrix is None else _apart(working, matrix),
        "exposed": [_text(atom, context) for atom in working.guards.exposed],
        "least": _least(working, matrix),
        "fallbacks": [{**asdict(one), "fits": one.leaves <= RECIPIENT_LEAVES_MAX} for one in working.cover.fallbacks],
        "empty": [] if result is None else [*_empty(working, result)],
    }


def _uploads(working: Working, result: Compiled | None, context: Known) -> Iterator[Document]:
    named = set() if result is None else {upload.key for upload in result.uploads}
    numbers = {cell: number for number, cell in enumerate(group_numbers(working.split), 1)}
    for number, (upload, mask) in enumerate(zip(working.uploads, working.cover.encoding, strict=True), 1):
        yield {
            "number": number,
            "key": upload.key,
            **_set(upload.expression, context),
            "groups": sorted(numbers[cell] for cell in numbers if mask >> cell & 1),
            "negated": upload.negated,
            "named": result is None or upload.key in named,
        }


def _labels(working: Working) -> dict[str, str]:
    """What stands for an id of LINE: the numbers of uploads, the audiences of LINE as the language writes them."""
    labels = {upload.key: f"upload {number}" for number, upload in enumerate(working.uploads, 1)}
    for name in working.names.values():
        labels |= {audience.key: audience.label for audience in name.audiences}
    for send in working.sends:
        for leaf in recipient_leaves(send.recipient) if isinstance(send, Narrowcast) else ():
            if isinstance(leaf, RedeliveryLeaf):
                labels[leaf_key(leaf)] = f"{leaf.delivery} part {leaf.part + 1}"
    return {key: labels[key] for key in sorted(labels)}


# --- the matrix -------------------------------------------------------------------------------------


def _matrix(working: Working, matrix: Matrix, context: Known) -> Document:
    numbers = {cell: number for number, cell in enumerate(group_numbers(working.split), 1)}
    shown = range(min(len(matrix.columns), COLUMNS_MAX))
    lonely = {cell for cell in numbers if sum(row.cell == cell for row in matrix.rows) == 1}
    rows = []
    for index, row in enumerate(matrix.rows[:ROWS_MAX]):
        line = None
        if row.cell not in lonely:
            line = _set(compiled_matrix.words_of_lines(working.split, row.line), context)
        cells = [list(matrix.at(index, column)) for column in shown]
        rows.append({"number": index + 1, "group": numbers[row.cell], "line": line, "sends": cells})
    return {
        "columns": [_column(matrix, index, context) for index in shown],
        "columns_left_out": len(matrix.columns) - len(shown),
        "rows": rows,
        "rows_left_out": len(matrix.rows) - len(rows),
    }


def _column(matrix: Matrix, index: int, context: Known) -> Document:
    column = matrix.columns[index]
    terms = [[{"text": _text(one.atom, context), "state": one.state} for one in term] for term in column.terms]
    return {"number": index + 1, "rest": column.rest and len(matrix.columns) > 1, "terms": terms}


# --- sends ------------------------------------------------------------------------------------------


def _plain_send(send: Any, context: Known) -> Document:
    members = _set(send.members, context) if isinstance(send, Multicast) else None
    return {"part": send.part, "kind": send.kind, "members": members}


def _sends(working: Working, matrix: Matrix | None, context: Known) -> Iterator[Document]:
    trees = [
        (part.rest, tree) for part, trees in zip(working.parts, working.cover.trees, strict=True) for tree in trees
    ]
    for send, (rest, tree) in zip(working.sends, trees, strict=True):
        if not isinstance(send, Narrowcast):
            continue
        rows = [] if matrix is None else [row for row, one in enumerate(matrix.rows, 1) if send.part in one.meant]
        yield {
            "part": send.part,
            "kind": send.kind,
            "rows": rows,
            "region": _set(send.region, context),
            "recipient": recipient_document(send.recipient),
            "filter": filter_document(send.filter),
            "filter_text": None if send.filter is None else formula_text(rest, context),
            "everybody": send.everybody,
            "line": _line(send, working),
            "leaves": len(recipient_leaves(send.recipient)),
            "leaves_max": RECIPIENT_LEAVES_MAX,
            "leaves_least": tree.least.value + len(_guards(send, working)),
            "leaves_reason": tree.least.reason,
            "conditions": filter_leaves(send.filter),
            "conditions_max": FILTER_LEAVES_MAX,
            "bound": None if send.bound is None else _set(send.bound, context),
            "guards": _guards(send, working),
        }


def _guards(send: Narrowcast, working: Working) -> list[int]:
    """The earlier sends of this delivery whose receivers it leaves out."""
    leaves = recipient_leaves(send.recipient)
    own = {leaf.part for leaf in leaves if isinstance(leaf, RedeliveryLeaf) and leaf.delivery == working.delivery.name}
    return sorted(own)


def _line(send: Narrowcast, working: Working) -> Document:
    """The parts of LINE's request that say whom it is for, with labels in place of ids."""
    keys = sorted({leaf.key for leaf in recipient_leaves(send.recipient) if isinstance(leaf, AudienceLeaf)})
    numbers = {key: number for number, key in enumerate(keys, 1)}
    labels = _labels(working)
    found: Document = {}
    if send.recipient is not None:
        requests = {
            (leaf.delivery, leaf.part): labels[leaf_key(leaf)]
            for leaf in recipient_leaves(send.recipient)
            if isinstance(leaf, RedeliveryLeaf)
        }
        body = recipient_json(send.recipient, numbers, requests)
        found["recipient"] = _labelled(body, {number: labels[key] for key, number in numbers.items()})
    if send.filter is not None:
        found["filter"] = {"demographic": filter_json(send.filter)}
    return found


def _labelled(value: Any, labels: dict[int, str]) -> Any:
    """LINE's object with labels for its ids; no deeper than its leaves are many."""
    if isinstance(value, dict):
        return {
            name: labels[inner] if name == "audienceGroupId" else _labelled(inner, labels)
            for name, inner in value.items()
        }
    return [_labelled(inner, labels) for inner in value] if isinstance(value, list) else value


def _apart(working: Working, matrix: Matrix) -> list[Document]:
    found = compiled_matrix.apart(working, matrix)
    return [
        {"by": by, "pairs": [list(pair) for pair in pairs[:PAIRS_MAX]], "count": len(pairs)}
        for by, pairs in found.items()
    ]


# --- why not fewer, and what may change -------------------------------------------------------------


def _least(working: Working, matrix: Matrix | None) -> Document:
    places = [] if matrix is None else [place for place in matrix.witness if _is_shown(place)]
    witness = [{"row": row + 1, "column": column + 1} for row, column in places]
    sends = _bound(working.split.sends_least, len(working.sends))
    uploads = _bound(working.cover.uploads_least, len(working.cover.encoding))
    return {"sends": {**sends, "witness": witness if len(witness) > 1 else []}, "uploads": uploads}


def _is_shown(place: tuple[int, int]) -> bool:
    return place[0] < ROWS_MAX and place[1] < COLUMNS_MAX


def _bound(least: Least, chosen: int) -> Document:
    """`exact`: no smaller number can do; else `chosen` is an upper bound."""
    return {"chosen": chosen, "value": least.value, "reason": least.reason, "exact": least.value == chosen}


def _empty(working: Working, result: Compiled) -> Iterator[Document]:
    """For each upload, what the sends become where it comes out empty; sends that stay as they are are left out."""
    program = Program(result.uploads, result.audiences, (result.delivery,))
    named = {upload.key for upload in result.uploads}
    before: dict[int, Recipient | None] = {
        send.part: send.recipient for send in result.delivery.sends if isinstance(send, Narrowcast)
    }
    for number, upload in enumerate(working.uploads, 1):
        if upload.key not in named:
            continue
        rest = without_empty(result.delivery, program, frozenset({upload.key}))
        after = {send.part: send.recipient for send in rest.sends if isinstance(send, Narrowcast)}
        changed = [part for part in before if part not in after or after[part] != before[part]]
        yield {
            "upload": number,
            "sends": [
                {
                    "part": part,
                    "becomes": "dropped" if part not in after else "smaller" if after[part] else "unlimited",
                    "recipient": recipient_document(after.get(part)),
                }
                for part in changed
            ],
        }

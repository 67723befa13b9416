"""`explain --compile`: how a delivery is sent to LINE, for a reviewer (specs/explain.md, `explain.compile`)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from audsql import catalog
from audsql.catalog import LANGUAGES, word
from audsql.diag import Fact
from audsql.source import cell_width
from audsql.view.sentences import sentence
from audsql.view.terminal import Style, left, neutralise

__all__ = ["page", "with_words"]

Document = dict[str, Any]

_WORLDS = ("own", "line", "attribute")
_NAMES_MAX = 30
_JSON_CELLS_MAX = 110
_LINE_CELLS_MAX = 60
_SENDS_MAX = 12
_CHANGES_MAX = 20
_GROUP_CELLS_MAX = 90


def with_words(document: Document) -> Document:
    """The document with its sets in words, a list of lines by language."""
    groups = [{**group, "words": _in_words(group["formula"])} for group in document["groups"]]
    found = document["set"]
    return {**document, "set": found and {**found, "words": _in_words(found["formula"])}, "groups": groups}


def _in_words(formula: Document) -> dict[str, list[str]]:
    return {language: list(sentence(formula, language)) for language in LANGUAGES}


def page(document: Document, style: Style) -> str:
    """The whole page; a section only where there is something to say."""
    name = neutralise(document["name"])
    blocks = [[style.paint("bold", _word("title", style, name=name))]]
    for head, section in (
        ("set", _set(document, style)),
        ("facts", _facts(document, style)),
        ("groups", _groups(document, style)),
        ("matrix", _matrix(document, style)),
        ("sends", _sends(document, style)),
        ("least", _least(document, style)),
        ("fallbacks", _fallbacks(document, style)),
        ("empty", _empty(document, style)),
        ("outcome", _outcome(document, style)),
    ):
        lines = list(section)
        if lines:
            blocks.append(
                [style.paint("bold", _word(f"head.{head}", style)), *(f"  {line}".rstrip() for line in lines)]
            )
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def _word(key: str, style: Style, **facts: Fact) -> str:
    return word(f"compile.{key}", style.language, **facts)


def _counted(key: str, style: Style, count: int, **facts: Fact) -> str:
    """A text with a number in it, in the singular where the language has one."""
    return _word(f"{key}_one" if count == 1 else key, style, count=count, **facts)


def _joined(texts: Sequence[str], style: Style) -> str:
    return word("list_separator", style.language).join(texts)


# --- the set ----------------------------------------------------------------------------------------


def _set(document: Document, style: Style) -> Iterator[str]:
    if document["set"] is None:
        return
    yield from sentence(document["set"]["formula"], style.language)
    yield style.paint("dim", word("explain.formula", style.language, text=neutralise(document["set"]["text"])))
    if document["to"] is not None:
        yield _word("written", style, text=neutralise(document["to"]["text"]))
    for policy in document["policies"]:
        yield _word("policy", style, name=neutralise(policy["name"]), text=neutralise(policy["text"]))
    if document["behind"]:
        yield _word("behind", style, names=_joined([neutralise(name) for name in document["behind"]], style))
    for world in _WORLDS:
        texts = [
            neutralise(one["text"]) for one in document["conditions"] if (one["world"], one["is"]) == (world, "set")
        ]
        if texts:
            more = [_word("more", style, count=len(texts) - _NAMES_MAX)] if len(texts) > _NAMES_MAX else []
            yield _word(f"world.{world}", style, texts=_joined([*texts[:_NAMES_MAX], *more], style))
    for one in document["conditions"]:
        if one["is"] != "set":
            yield _word(f"taken.{one['is']}", style, text=neutralise(one["text"]))


def _facts(document: Document, style: Style) -> Iterator[str]:
    facts = document["facts"]
    for kind in ("used", "unused"):
        for fact in facts[kind]:
            texts = [neutralise(text) for text in fact["of"]]
            why = _word(f"why.{fact['why']}", style)
            if fact["is"] == "within":
                said = "gathered" if fact["why"] == "link" else kind
                yield f"- {_word(f'fact.within.{said}', style, inner=texts[0], outer=texts[1], why=why)}"
            else:
                yield f"- {_word(f'fact.apart.{kind}', style, texts=_joined(texts, style), why=why)}"
    if facts["left_out"]:
        yield f"- {_word('more', style, count=facts['left_out'])}"


# --- tables -----------------------------------------------------------------------------------------


def _groups(document: Document, style: Style) -> Iterator[str]:
    """Which group of own data is in which upload, where own data tell anybody apart."""
    groups, uploads = document["groups"], document["uploads"]
    if len(groups) < 2:
        return
    heads = [_word("column.group", style), *(_word("upload", style, number=one["number"]) for one in uploads), ""]
    rows = [heads]
    for group in groups:
        marks = [_mark(one["number"] in group["uploads"], style) for one in uploads]
        rows.append([str(group["number"]), *marks, _group(group, style)])
    yield from _table(rows)
    if document["groups_left_out"]:
        yield _word("groups_left_out", style, count=document["groups_left_out"])
    for one in uploads:
        key = "upload_is" if one["named"] else "upload_unused"
        yield _word(key, style, number=one["number"], text=neutralise(one["text"]))


def _mark(inside: bool, style: Style) -> str:
    return ("●" if inside else "·") if style.unicode else ("x" if inside else ".")


def _group(group: Document, style: Style) -> str:
    if group["unlisted"]:
        return _word("unlisted", style)
    lines = sentence(group["formula"], style.language)
    return _short(lines[0] if len(lines) == 1 else neutralise(group["text"]), _GROUP_CELLS_MAX)


def _short(text: str, cells: int) -> str:
    """A text that fits into its column, its end left out."""
    if cell_width(text) <= cells:
        return text
    while cell_width(text) > cells - 4:
        text = text[:-1]
    return f"{text} ..."


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Columns two cells apart, as wide as their widest text; wide characters take two cells."""
    widths = [max(cell_width(text) for text in column) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(left(text, width) for text, width in zip(row, widths, strict=True)).rstrip()


def _matrix(document: Document, style: Style) -> Iterator[str]:
    """Rows are groups with what LINE's audiences say, columns what LINE knows of attributes; the number of the send."""
    matrix = document["matrix"]
    if matrix is None or len(matrix["rows"]) * len(matrix["columns"]) < 2:
        return
    columns = matrix["columns"]
    letters = [_letter(index) for index in range(len(columns))] if len(columns) > 1 else [_word("column.send", style)]
    has_groups, has_lines = len(document["groups"]) > 1, any(row["line"] for row in matrix["rows"])
    heads = [_word("column.row", style), _word("column.group", style), _word("column.line", style), *letters]
    rows = [heads]
    for row in matrix["rows"]:
        cells = [_cell(cell, style) for cell in row["sends"]]
        rows.append([str(row["number"]), str(row["group"]), _line(row, document, style), *cells])
    kept = [index for index in range(len(heads)) if (index != 1 or has_groups) and (index != 2 or has_lines)]
    yield from _table([[row[index] for index in kept] for row in rows])
    for index, column in enumerate(columns if len(columns) > 1 else ()):
        yield _word("column_is", style, letter=_letter(index), text=_column(column, style))
    for key in ("rows_left_out", "columns_left_out"):
        if matrix[key]:
            yield _word(key, style, count=matrix[key])
    if any(len(cell) > 1 for row in matrix["rows"] for cell in row["sends"]):
        yield _word("several", style)


def _line(row: Document, document: Document, style: Style) -> str:
    """What LINE's audiences say of the people of a row; those of a group who are left over come last."""
    if row["line"] is None:
        return _word("any", style)
    if not any(row["sends"]):
        return _word("otherwise", style)
    text = neutralise(row["line"]["text"])
    alone = [send["part"] for send in document["sends"] if send["rows"] == [row["number"]]]
    if cell_width(text) > _LINE_CELLS_MAX and alone:
        return _word("line_of_send", style, number=alone[0] + 1)
    return _short(text, _LINE_CELLS_MAX)


def _letter(index: int) -> str:
    return "abcdefghijklmnopqrstuvwxyz"[index]


def _cell(sends: Sequence[int], style: Style) -> str:
    return "+".join(str(send + 1) for send in sends) if sends else _mark(False, style)


def _column(column: Document, style: Style) -> str:
    if column["rest"]:
        return _word("rest", style)
    if not column["terms"]:
        return _word("mixed", style)
    terms = [
        _word("and", style).join(_word(f"state.{one['state']}", style, text=neutralise(one["text"])) for one in term)
        for term in column["terms"]
    ]
    return _word("or", style).join(terms)


# --- sends ------------------------------------------------------------------------------------------


def _sends(document: Document, style: Style) -> Iterator[str]:
    for send in document["sends"][:_SENDS_MAX]:
        if send["kind"] == "broadcast":
            yield _word("broadcast", style)
        elif send["kind"] in ("multicast", "listed", "push"):
            yield _word(send["kind"], style, text=neutralise(send["members"]["text"]))
        else:
            yield from _narrowcast(send, document, style)
    if len(document["sends"]) > _SENDS_MAX:
        yield _word("sends_left_out", style, count=len(document["sends"]) - _SENDS_MAX)
    yield from _apart(document, style)
    if document["exposed"]:
        yield _word("exposed", style, texts=_joined([neutralise(text) for text in document["exposed"]], style))


def _apart(document: Document, style: Style) -> Iterator[str]:
    """Why nobody gets two sends: in one sentence where one reason holds for all of them."""
    if len(document["apart"]) == 1 and document["apart"][0]["count"] > 1:
        yield _word(f"apart_all.{document['apart'][0]['by']}", style)
        return
    for one in document["apart"]:
        pairs = [_word("pair", style, left=pair[0] + 1, right=pair[1] + 1) for pair in one["pairs"]]
        if one["count"] > len(pairs):
            pairs.append(_word("more", style, count=one["count"] - len(pairs)))
        yield _word(f"apart.{one['by']}", style, pairs=word("list_separator", style.language).join(pairs))


def _narrowcast(send: Document, document: Document, style: Style) -> Iterator[str]:
    head = _word("send", style, number=send["part"] + 1)
    rows = send["rows"] if document["matrix"] and _is_told(document["matrix"]) else ()
    if rows:
        head += _counted("send_rows", style, len(rows), rows=_joined([str(row) for row in rows[:_NAMES_MAX]], style))
    yield style.paint("bold", head)
    if send["everybody"]:
        yield f"  {_word('everybody', style)}"
    if send["recipient"] is not None:
        text = _whole(send["recipient"], _labels(document, style), style)
        yield f"  {_word('recipient', style, text=text, leaves=send['leaves'], limit=send['leaves_max'])}"
    if send["filter"] is not None:
        text = neutralise(send["filter_text"])
        yield f"  {_word('filter', style, text=text, count=send['conditions'], limit=send['conditions_max'])}"
    if send["guards"]:
        guards = [str(part + 1) for part in send["guards"]]
        yield f"  {_counted('guard', style, len(guards), numbers=_joined(guards[:_NAMES_MAX], style))}"
    if send["bound"] is None:
        yield f"  {_word('bound_friends', style)}"
    else:
        yield f"  {_word('bound', style, text=neutralise(send['bound']['text']))}"
    for name, value in send["line"].items():
        lines = _folded({name: value}, _JSON_CELLS_MAX)
        yield from (f"  {style.paint('dim', line)}" for line in lines)


def _is_told(matrix: Document) -> bool:
    return len(matrix["rows"]) * len(matrix["columns"]) > 1


def _folded(value: Any, width: int) -> list[str]:
    """JSON on one line where it fits, else the members of lists one a line; no deeper than a recipient has leaves."""
    text = json.dumps(value, ensure_ascii=False)
    if cell_width(text) <= width or not isinstance(value, dict | list) or not value:
        return [neutralise(text)]
    if isinstance(value, list):
        parts = [_folded(inner, width - 1) for inner in value]
        ended = [[*part[:-1], f"{part[-1]},"] for part in parts[:-1]] + [[*parts[-1][:-1], f"{parts[-1][-1]}]"]]
        return ["[", *(f" {line}" for part in ended for line in part)]
    lines = ["{"]
    for name, inner in value.items():
        first, *more = _folded(inner, width - 1)
        lines[-1] += f"{'' if lines == ['{'] else ', '}{json.dumps(name)}: {first}"
        lines += more
    return [*lines[:-1], f"{lines[-1]}}}"]


def _labels(document: Document, style: Style) -> dict[str, str]:
    """What each key is called in a tree; the uploads in the language of the page."""
    uploads = {one["key"]: _word("upload", style, number=one["number"]) for one in document["uploads"]}
    return {**document["labels"], **uploads}


def _whole(tree: Document, labels: dict[str, str], style: Style) -> str:
    """A tree without the parentheses around all of it."""
    text = _tree(tree, labels, style)
    return text[1:-1] if "and" in tree or "or" in tree else text


def _tree(tree: Document, labels: dict[str, str], style: Style) -> str:
    """A recipient tree in the language's own operators."""
    match tree:
        case {"and": parts}:
            return "(" + " AND ".join(_tree(part, labels, style) for part in parts) + ")"
        case {"or": parts}:
            return "(" + " OR ".join(_tree(part, labels, style) for part in parts) + ")"
        case {"not": part}:
            return f"NOT {_tree(part, labels, style)}"
        case {"audience": str(key)}:
            return f"[{neutralise(labels.get(key, key))}]"
        case {"redelivery": name, "part": int(part)}:
            return f"[{_word('received', style, name=neutralise(str(name)), number=part + 1)}]"
    return ""


# --- bounds, fallbacks, empty uploads -----------------------------------------------------------------


def _least(document: Document, style: Style) -> Iterator[str]:
    if document["least"] is None:
        return
    for key in ("sends", "uploads"):
        least = document["least"][key]
        if not least["chosen"] and not least["value"]:
            continue
        what = _counted(f"number.{key}", style, least["chosen"])
        reason = _word(f"reason.{least['reason']}", style, count=least["value"], groups=_group_count(document))
        limited = key == "sends" and any(one["taken"] for one in document["fallbacks"])
        sure = "fewest" if least["exact"] else "open_limit" if limited else "open"
        yield f"- {_word(sure, style, what=what, value=least['value'], reason=reason)}"
    witness = document["least"]["sends"]["witness"]
    if witness:
        places = [_place(one, document, style) for one in witness]
        key = "witness" if len(witness) == document["least"]["sends"]["chosen"] else "witness_some"
        yield f"- {_word(key, style, places=_joined(places, style))}"
    yield from _least_leaves(document["sends"], style)


def _least_leaves(sends: Sequence[Document], style: Style) -> Iterator[str]:
    """Of the recipients that name several audiences: why not fewer; sends of one reason together."""
    found: dict[str, list[str]] = {}
    for send in (send for send in sends if send["leaves"] > 1):
        if send["leaves"] == send["leaves_least"]:
            found.setdefault(send["leaves_reason"], []).append(str(send["part"] + 1))
    for reason, numbers in found.items():
        key = "leaves_searched" if reason == "search" else "leaves_fewest"
        yield f"- {_counted(key, style, len(numbers), numbers=_joined(numbers[:_NAMES_MAX], style))}"
    for send in sends:
        if send["leaves"] > 1 and send["leaves"] != send["leaves_least"]:
            facts = {"number": send["part"] + 1, "count": send["leaves"], "least": send["leaves_least"]}
            yield f"- {_word('leaves_open', style, **facts)}"


def _group_count(document: Document) -> int:
    return len(document["groups"]) + int(document["groups_left_out"])


def _place(one: Document, document: Document, style: Style) -> str:
    if len(document["matrix"]["columns"]) == 1:
        return _word("place_row", style, row=one["row"])
    return _word("place", style, row=one["row"], letter=_letter(one["column"] - 1))


def _fallbacks(document: Document, style: Style) -> Iterator[str]:
    for one in document["fallbacks"]:
        said = "at_once" if one["step"] == "encoding" and not one["uploads"] else one["step"]
        step, key = _word(f"step.{said}", style), "taken" if one["taken"] else "left" if one["fits"] else "tried"
        sends, uploads = (_counted(f"number.{name}", style, one[name]) for name in ("sends", "uploads"))
        told = _word(f"fallback.{key}", style, step=step, sends=sends, uploads=uploads, leaves=one["leaves"])
        more = one["more_sends"] if one["taken"] else 0
        yield f"- {told}{' ' + _counted('fallback.more_sends', style, more) if more else ''}"


def _empty(document: Document, style: Style) -> Iterator[str]:
    lines = [line for one in document["empty"] for line in _changes(one, document, style)]
    yield from lines[:_CHANGES_MAX]
    if len(lines) > _CHANGES_MAX:
        yield f"- {_word('more', style, count=len(lines) - _CHANGES_MAX)}"


def _changes(one: Document, document: Document, style: Style) -> Iterator[str]:
    """What the sends become where one upload comes out empty; those that are not made together."""
    dropped = [str(change["part"] + 1) for change in one["sends"] if change["becomes"] == "dropped"]
    if dropped:
        numbers = _joined(dropped[:_NAMES_MAX], style)
        yield f"- {_counted('becomes.dropped', style, len(dropped), upload=one['upload'], numbers=numbers)}"
    for change in one["sends"]:
        if change["becomes"] != "dropped":
            recipient = change["recipient"]
            text = "" if recipient is None else _whole(recipient, _labels(document, style), style)
            facts = {"upload": one["upload"], "number": change["part"] + 1, "text": text}
            yield f"- {_word('becomes.' + change['becomes'], style, **facts)}"


def _outcome(document: Document, style: Style) -> Iterator[str]:
    """What came of it, where that is not plainly the sends above."""
    error = document["error"]
    if error is None:
        if document["outcome"] != "narrowcasts":
            yield _word(f"outcome.{document['outcome']}", style)
        return
    facts = {name: tuple(fact) if isinstance(fact, list) else fact for name, fact in error["facts"].items()}
    shown = {name: neutralise(fact) if isinstance(fact, str) else fact for name, fact in facts.items()}
    title = catalog.render_text(catalog.entry(error["code"]).text(style.language).title, shown)
    yield f"{word('severity.error', style.language)}[{error['code']}]: {title}"
    yield _word(f"reached.{error['reached']}", style)

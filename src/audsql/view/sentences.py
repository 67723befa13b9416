"""Sets of people in plain words: a formula (specs/explain.md, `explain.formula`) as a sentence or an outline.

All words stand in the catalogue, under `say`. A phrase there has its forms side by side, between bars: as it is
said, as it goes on (in languages that have such a form), and of people of whom it is not true. In a language
whose phrases have three forms, conditions stand before the verb, else behind it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from audsql.catalog import render_text, word
from audsql.diag import Fact
from audsql.meaning.words import share_words
from audsql.view.terminal import neutralise

__all__ = ["OPERATORS", "phrase", "sentence"]

Document = dict[str, Any]
Form = Literal["is", "and", "not"]

_PHRASES_MAX = 6
_CHARACTERS_MAX = 300
_PLAIN = re.compile(r"[\w.\-+:/\[\]@%]+")
_PARTICIPLE = re.compile(r"[a-z_]+ed")
OPERATORS = {"=": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}
_WINDOWS = ("last", "since", "since_start", "before")
_JOINED = ("all", "any", "not", "more", "everybody", "nobody")


def sentence(formula: Document, language: str) -> tuple[str, ...]:
    """The set in words: one sentence, or where that would be long, the lines of an indented outline."""
    if formula["is"] in ("everybody", "nobody"):
        return (_word(f"full.{formula['is']}", language),)
    wanted, excluded = _sides(formula)
    who, without = _who(wanted, excluded, language), _without(excluded, language)
    short = len(wanted) + len(excluded) <= _PHRASES_MAX
    if who is not None and without is not None and short and len(who) + len(without) <= _CHARACTERS_MAX:
        key = "full.is" if not excluded else "full.except" if wanted else "full.others" if excluded[1:] else "full.is"
        return (_word(key, language, what=who, without=without),)
    return tuple(_outline(formula, language))


def _sides(formula: Document) -> tuple[list[Document], list[Document]]:
    """What must hold and what must not, where the formula is joined of both."""
    if formula["is"] == "all":
        return formula["parts"], formula["except"]
    return ([], [formula["part"]]) if formula["is"] == "not" else ([formula], [])


def _who(wanted: Sequence[Document], excluded: Sequence[Document], language: str) -> str | None:
    """`clicked spring and bought A`; of exclusions alone, `are not on the list buyers`."""
    if not wanted:
        found = [phrase(part, language, "not") for part in excluded]
    else:
        # A choice comes last: nothing can then be read into it.
        ordered = sorted(wanted, key=lambda part: part["is"] == "any")
        if sum(part["is"] == "any" for part in ordered) > (1 if len(ordered) > 1 else len(ordered)):
            return None
        last = len(ordered) - 1
        found = [
            _choice(part, language, alone=last == 0)
            if part["is"] == "any"
            else phrase(part, language, "and" if index < last else "is")
            for index, part in enumerate(ordered)
        ]
    texts = [text for text in found if text is not None]
    if len(texts) < len(found):
        return None
    return _list(texts, "and", language)


def _choice(part: Document, language: str, *, alone: bool) -> str | None:
    texts = [phrase(one, language, "is") for one in part["parts"]]
    known = [text for text in texts if text is not None]
    if len(known) < len(texts):
        return None
    return _list(known, "either" if alone else "among", language)


def _without(excluded: Sequence[Document], language: str) -> str | None:
    """What the people are not: phrases in their negative form, or the people themselves."""
    form: Form = "is" if _has_forms(language) else "not"
    texts = [phrase(part, language, form) for part in excluded]
    known = [text for text in texts if text is not None]
    if len(known) < len(texts):
        return None
    return _list([_word("without", language, what=text) for text in known], "besides", language)


# --- outlines ---------------------------------------------------------------------------------------


def _outline(formula: Document, language: str) -> Iterator[str]:
    """One line a part, indented by its depth; formulas are bounded, and so is this."""
    yield _word(f"head.{formula['is']}" if formula["is"] in ("all", "any", "not") else "head.all", language)
    if formula["is"] in ("all", "any", "not"):
        yield from _inside(formula, language, 1)
    else:
        yield from _line(formula, language, 1)


def _inside(part: Document, language: str, depth: int) -> Iterator[str]:
    match part["is"]:
        case "all":
            for one in part["parts"]:
                yield from _line(one, language, depth)
            if part["except"]:
                yield _item(_word("but" if part["parts"] else "none", language), depth)
                for one in part["except"]:
                    yield from _line(one, language, depth + 1)
        case "any":
            for one in part["parts"]:
                yield from _line(one, language, depth)
        case _:
            yield from _line(part["part"], language, depth)


def _line(part: Document, language: str, depth: int) -> Iterator[str]:
    said = phrase(part, language, "is")
    if said is not None:
        yield _item(_word("item", language, what=said), depth)
    elif part["is"] in ("more", "everybody", "nobody"):
        yield _item(_word(f"sub.{part['is']}", language, count=part.get("count")), depth)
    elif part["is"] in ("mapped", "lookalike"):
        yield _item(_word(f"sub.{part['is']}", language, **_made_from(part, language)), depth)
        inner = part["part"]
        yield from _inside(inner, language, depth + 1) if inner["is"] == "all" else _line(inner, language, depth + 1)
    else:
        yield _item(_word(f"sub.{part['is']}", language), depth)
        yield from _inside(part, language, depth + 1)


def _item(text: str, depth: int) -> str:
    return f"{'  ' * depth}- {text}"


# --- phrases ----------------------------------------------------------------------------------------


def phrase(part: Document, language: str, form: Form = "is") -> str | None:
    """One part of a formula as a predicate of people, `are on the list buyers`; None where it is joined of others."""
    kind = part["is"]
    if kind == "not" and form != "not":
        return phrase(part["part"], language, "not") if part["part"]["is"] not in _JOINED else None
    if kind in _JOINED:
        return None
    match kind:
        case "rows":
            return _rows(part, language, form)
        case "mapped" | "lookalike":
            return _made(part, language, form)
        case _:
            key, facts = _simple(part, language)
            return _form(key, language, form, **facts)


def _simple(part: Document, language: str) -> tuple[str, dict[str, Fact]]:
    """The key of an atom's phrase and what stands in it."""
    match part["is"]:
        case "uploaded":
            return "uploaded", {"name": _name(part["name"], language)}
        case "linked":
            return "linked", {"table": _name(part["table"], language)}
        case "friends":
            account = part["account"]
            return ("friends", {"account": _name(account, language)}) if account else ("friends_any", {})
        case "clicked" if part["url"] is not None:
            return "clicked_url", {"delivery": _name(part["delivery"], language), "url": neutralise(part["url"])}
        case "clicked" | "opened" | "received":
            return part["is"], {"delivery": _name(part["delivery"], language)}
        case "remote" if part["type"] in ("CHAT_TAG", "FRIEND_PATH"):
            return part["type"].lower(), {"name": _name(part["name"], language)}
        case "remote":
            return "remote", {"name": _name(part["name"], language), "type": word(f"kind.{part['type']}", language)}
        case "arm":
            share = share_words(part["hundredths"])
            return "arm", {"arm": _name(part["arm"], language), "split": _name(part["split"], language), "share": share}
        case "sample":
            return "sample", {"share": share_words(part["hundredths"]), "seed": _name(part["seed"], language)}
        case "gender" | "os":
            values = [_word(f"value.{value}", language) for value in part["values"]]
            return part["is"], {"values": _list(values, "or", language)}
        case "area":
            names = part[language] if language in part else part["en"]
            shown = [name.replace("_", " ").title() for name in names] if names is part["en"] else names
            return "area", {"values": _list(shown, "or", language)}
        case "age" | "friend_for":
            ranges = [_range(part["is"], low, high, language) for low, high in part["ranges"]]
            return part["is"], {"ranges": _list(ranges, "or", language)}
    return "other", {"text": neutralise(part["text"])}


def _range(kind: str, low: int | None, high: int | None, language: str) -> str:
    unit = "years" if kind == "age" else "days"
    if low and high is not None:
        return _word(f"{unit}.between", language, low=low, high=high)
    if high is None:
        return _word(f"{unit}.from", language, low=low or 0)
    return _word(f"{unit}.to", language, high=high, above=high + 1)


def _made(part: Document, language: str, form: Form) -> str | None:
    """A set made from another one, which is said inside it."""
    inner = phrase(part["part"], language, "is")
    if inner is None or len(inner) > _CHARACTERS_MAX // 2:
        return None
    people = _word("people", language, what=inner)
    return _form(part["is"], language, form, people=people, **_made_from(part, language))


def _made_from(part: Document, language: str) -> dict[str, Fact]:
    if part["is"] == "mapped":
        return {"id_kind": _word(f"a_kind.{part['id_kind']}", language), "table": _name(part["table"], language)}
    return {"share": share_words(part["hundredths"])}


# --- rows of tables ---------------------------------------------------------------------------------


def _rows(part: Document, language: str, form: Form) -> str:
    """A verb or a table with its conditions. What is counted or summed is denied as a whole."""
    times = next((one for one in part["people"] if one["test"] == "times"), None)
    totals = [one for one in part["people"] if one["test"] != "times"]
    vague = part["verb"] is not None and part["values"] is None and _has_forms(language)
    if form == "not" and (part["people"] or vague):
        return _form("denied", language, "is", what=_rows(part, language, "is"))
    if times is not None and _is_none(times):
        text = _base(part, language, "not")
        text = _word("still", language, base=text) if form == "and" else text
        return _form("in_table", language, "is", table=_name(part["table"], language), base=text)
    text = _base(part, language, "and" if totals and _has_forms(language) else form, times)
    if times is not None and times["bound"] == "at most":
        text = _form("in_table", language, "is", table=_name(part["table"], language), base=text)
    if totals:
        conditions = [_total(one, language) for one in totals]
        text = _form("with", language, form, base=text, conditions=_list(conditions, "all", language))
    return text


def _is_none(times: Document) -> bool:
    """Whether it speaks of people of the table who have no such row."""
    return bool(times["count"] == 0 and times["bound"] in ("at most", "exactly"))


def _base(part: Document, language: str, form: Form, times: Document | None = None) -> str:
    """Who has such rows, and how many."""
    rows = [one for one in part["rows"] if one["test"] not in _WINDOWS]
    windows = [one for test in _WINDOWS for one in part["rows"] if one["test"] == test]
    where = ""
    if rows:
        where = _word("where", language, conditions=_list([_row(one, language) for one in rows], "all", language))
    if part["verb"] is None:
        return _table(part, language, form, times, where, windows)
    window = _window("during", windows, language)
    values = part["values"]
    object_ = _word("anything", language) if values is None else _values(values, language)
    before = _has_forms(language)
    said = f"{window}{object_}{where}" if before else object_
    verb = "and" if form == "and" and times is None else "is" if times else form
    text = _verb(part["verb"], said, language, verb)
    if times is not None:
        text = _form("counted", language, form, base=text, times=_count("times", times, language))
    return text if before else f"{text}{window}{where}"


def _table(
    part: Document, language: str, form: Form, times: Document | None, where: str, windows: Sequence[Document]
) -> str:
    table = _name(part["table"], language)
    if times is not None:
        window = _window("of", windows, language)
        count = _count("rows", times, language)
        return _form("rows_counted", language, form, table=table, window=window, where=where, times=count)
    if not where and not windows:
        return _form("in_rows", language, form, table=table)
    return _form("rows", language, form, table=table, window=_window("of", windows, language), where=where)


def _verb(name: str, values: str, language: str, form: Form) -> str:
    """A known verb in its own words; of another one, that there is a record of it."""
    try:
        return _form(f"verbs.{name}", language, form, values=values)
    except KeyError:
        key = "verb_ed" if _PARTICIPLE.fullmatch(name) else "verb_other"
        return _form(
            key,
            language,
            form,
            verb=_name(name.replace("_", " ") if key == "verb_ed" else name, language),
            values=values,
        )


def _count(kind: str, times: Document, language: str) -> str:
    key = f"{kind}_{times['bound'].replace(' ', '_')}{'_one' if times['count'] == 1 else ''}"
    return _word(key, language, count=times["count"])


def _window(kind: str, windows: Sequence[Document], language: str) -> str:
    if not windows:
        return ""
    return _word(
        f"window_{kind}", language, window=_list([_one_window(one, language) for one in windows], "all", language)
    )


def _one_window(window: Document, language: str) -> str:
    if window["test"] == "last":
        one = "_one" if window["amount"] == 1 else ""
        return _word(f"last.{window['unit']}{one}", language, count=window["amount"])
    if window["test"] == "since_start":
        return _word("since_start", language)
    return _word(window["test"], language, moment=window["at"]["text"])


def _row(row: Document, language: str) -> str:
    column = _name(row["column"], language)
    match row["test"]:
        case "compare":
            return _word("column", language, column=column, value=_compared(row, language))
        case "in":
            return _word("column", language, column=column, value=_values(row["values"], language))
        case _:
            return _word(f"column_{row['test']}", language, column=column)


def _total(total: Document, language: str) -> str:
    dated = total["value"]["type"] == "date" and total["test"] in ("min", "max")
    key = f"total.{total['test']}{'_date' if dated else ''}"
    return _word(key, language, column=_name(total["column"], language), value=_compared(total, language))


def _compared(row: Document, language: str) -> str:
    kind = "op_date" if row["value"]["type"] == "date" else "op"
    return _word(f"{kind}.{OPERATORS[row['operator']]}", language, value=_scalar(row["value"], language))


def _values(values: Document, language: str) -> str:
    shown = [_scalar(value, language) for value in values["shown"]]
    if values["more"]:
        shown.append(_word("more_values", language, count=values["more"]))
    return _list(shown, "or", language)


def _scalar(value: Document, language: str) -> str:
    text: str = value["text"]
    return _name(text, language) if value["type"] == "text" else text


# --- words ------------------------------------------------------------------------------------------


def _word(key: str, language: str, **facts: Fact) -> str:
    return word(f"say.{key}", language, **facts)


def _form(key: str, language: str, form: Form, **facts: Fact) -> str:
    """One form of a phrase. Where a language has two forms, what is said and what goes on are the same."""
    forms = word(f"say.{key}", language).split("|")
    index = {"is": 0, "and": len(forms) - 2, "not": len(forms) - 1}[form] if len(forms) > 1 else 0
    return render_text(forms[index], facts)


def _has_forms(language: str) -> bool:
    return word("say.uploaded", language).count("|") > 1


def _name(text: str, language: str) -> str:
    """A name or a value as it is; in quotation marks where its end would not be seen."""
    shown = neutralise(text)
    return shown if _PLAIN.fullmatch(shown) else _word("quoted", language, text=shown)


def _list(texts: Sequence[str], kind: str, language: str) -> str:
    """Several texts as one: `a, b and c`, `either a or b`."""
    if len(texts) < 2:
        return "".join(texts)
    between, last = _word(f"list.{kind}.between", language), _word(f"list.{kind}.last", language)
    joined = f"{between.join(texts[:-1])}{last}{texts[-1]}"
    return _word(f"list.{kind}.whole", language, texts=joined)

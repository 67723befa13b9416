"""Sources as they are declared, and what is wanted of them: which file, which rules, which ids."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo

from audsql.data.endings import COLUMN_FORMATS, LIST_FORMATS, TABLE_FORMATS, kind_of
from audsql.data.ids import NORMALISER_VERSION
from audsql.data.leaves import ANYBODY, Leaf, leaf_of
from audsql.data.tables import Form
from audsql.diag import Diagnostic, error
from audsql.meaning.ir import (
    Atom,
    Followers,
    IdKind,
    Linked,
    Mapped,
    Project,
    Rows,
    TableSource,
    Uploaded,
    UploadSource,
)
from audsql.meaning.lineage import read_from
from audsql.records import dataclass

__all__ = ["Declared", "Wanted", "declared_source", "region_of", "source_name", "wanted_of"]

RULES_VERSION = 2  # of reading and of conditions; part of every source digest


@dataclass(frozen=True, slots=True)
class Declared:
    """A source as declared: `rules` names everything but the bytes that decides what is read. `folder`: what
    `file` is relative to and must lie below, itself relative to the project. `query`: SQL for `connection`, read
    instead of a file; `dated`: how old its newest row is matters. `friends_of`: the account whose friends LINE lists,
    read instead of a file."""

    name: str
    kind: Literal["upload", "table"]
    file: str
    formats: tuple[str, ...]
    rules: str
    upload: UploadSource | None
    form: Form | None
    folder: str = ""
    query: str = ""
    connection: str = ""
    dated: bool = False
    friends_of: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One atom of a source: the people by id column `id` that satisfy `leaf`."""

    key: str
    id: tuple[IdKind, str]
    leaf: Leaf


def source_name(atom: Uploaded | Rows | Linked | Mapped | Followers) -> str:
    return read_from(atom)


def declared_source(project: Project, name: str) -> Declared:
    upload = next((one for one in project.uploads if one.name == name), None)
    if upload is not None:
        return _declared_upload(project, upload)
    account = next((one.name for one in project.accounts if read_from(Followers(one.name)) == name), None)
    if account is not None:
        return _declared_followers(name, account)
    return _declared_table(project, next(one for one in project.tables if one.name == name))


def _declared_upload(project: Project, upload: UploadSource) -> Declared:
    region = region_of(project, upload.account)
    form: Form | None = None
    formats: tuple[str, ...] = LIST_FORMATS
    if upload.column is not None or kind_of(upload.file).named:
        # Without a name, the only column.
        ids = ((upload.id_kind, upload.column or ""),)
        zone = ZoneInfo(project.timezone)
        form = Form(upload.name, upload.file, ids, None, (), region, zone, upload.span)
        formats = COLUMN_FORMATS
    rules = _rules("upload", _ending(upload.file), upload.id_kind, upload.column, region, upload.allow_empty)
    return Declared(upload.name, "upload", upload.file, formats, rules, upload, form, upload.folder)


def _declared_followers(name: str, account: str) -> Declared:
    """The friends of an account as a list: empty where it has none."""
    file = f"{name}.txt"
    upload = UploadSource(name, file, "user_id", account=account, allow_empty=True)
    return Declared(name, "upload", file, LIST_FORMATS, _rules("followers"), upload, None, friends_of=account)


def _declared_table(project: Project, table: TableSource) -> Declared:
    region = region_of(project, "")
    others = tuple(verb.column for verb in table.verbs if verb.column is not None)
    zone = ZoneInfo(project.timezone)
    queried = bool(table.query)
    form = Form(table.name, table.file, table.ids, table.time_column, others, region, zone, table.span, queried)
    ending = "query" if queried else _ending(table.file)
    rules = _rules("table", ending, table.ids, table.time_column, others, region, project.timezone)
    declared = Declared(table.name, "table", table.file, TABLE_FORMATS, rules, None, form, table.folder)
    if not queried:
        return declared
    return replace(declared, query=table.query, connection=table.connection, dated=table.fresh_hours is not None)


def _ending(file: str) -> str:
    kind = kind_of(file)
    return kind.ending + kind.packing


def _rules(*parts: object) -> str:
    return json.dumps([RULES_VERSION, NORMALISER_VERSION, *parts])


def region_of(project: Project, account: str) -> str:
    regions = {one.name: one.region for one in project.accounts}
    if account in regions:
        return regions[account]
    return next(iter(regions.values())) if len(regions) == 1 else "jp"


def wanted_of(declared: Declared, atoms: Sequence[Atom], as_of: datetime) -> tuple[list[Wanted], list[Diagnostic]]:
    wanted, problems = [], []
    for atom in atoms:
        if isinstance(atom, Mapped):
            continue
        if isinstance(atom, Uploaded | Followers):
            upload = declared.upload
            assert upload is not None
            wanted.append(Wanted(atom.key, (upload.id_kind, upload.column or ""), ANYBODY))
            continue
        form = declared.form
        assert form is not None
        if isinstance(atom, Rows):
            wanted.append(Wanted(atom.key, form.ids[0], leaf_of(atom, as_of, form.zone)))
            continue
        linked = next((one for one in form.ids if one[0] == "user_id"), None)
        if linked is None:
            problems.append(error("AUD1051", form.span, table=form.name))
        else:
            wanted.append(Wanted(atom.key, linked, ANYBODY))
    return wanted, problems

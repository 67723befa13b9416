"""Reading own data files: the public face of `content`, `lists` and `tables`."""

from __future__ import annotations

from audsql.data.content import Content, open_file
from audsql.data.endings import LIST_FORMATS, TABLE_FORMATS
from audsql.data.lists import ListRead, read_list
from audsql.data.tables import Form, TableRead, evaluate_table, read_table

__all__ = [
    "LIST_FORMATS",
    "TABLE_FORMATS",
    "Content",
    "Form",
    "ListRead",
    "TableRead",
    "evaluate_table",
    "open_file",
    "read_list",
    "read_table",
]

"""The one line that says how far reading own data is."""

from __future__ import annotations

from audsql.catalog import word
from audsql.session.progress import Progress
from audsql.source import cell_width
from audsql.view.terminal import Style, neutralise

__all__ = ["over", "progress_line"]

_BAR_CELLS = 12
_UNITS = ("B", "KiB", "MiB", "GiB")


def progress_line(progress: Progress, style: Style) -> str:
    """`[====>       ] 4/12  reading orders  1,200,000 rows  310 MiB  14 s`, cut to the terminal; never coloured."""
    language = style.language
    doing = "progress.evaluating" if progress.evaluating else "progress.reading"
    parts = [_bar(progress), word(doing, language, source=neutralise(progress.source))]
    if progress.rows:
        parts.append(word("progress.rows", language, count=f"{progress.rows:,}"))
    if progress.size_bytes:
        parts.append(_size(progress.size_bytes))
    parts.append(word("progress.seconds", language, count=f"{int(progress.seconds):,}"))
    text = "  ".join(parts)
    if not style.unicode:
        text = text.encode("ascii", "backslashreplace").decode()
    return _cut(text, style.width - 1)


def over(line: str, before: str) -> str:
    """What to write so that `line` stands where `before` stood; "" leaves nothing there."""
    blank = " " * max(cell_width(before) - cell_width(line), 0)
    return f"\r{line}{blank}" + ("\r" if not line else "")


def _bar(progress: Progress) -> str:
    """How many sources are done; the one at work counts as nothing yet."""
    done = (progress.number - 1) * _BAR_CELLS // progress.of if progress.of else 0
    head = ">" if done < _BAR_CELLS else ""
    return f"[{('=' * done + head):<{_BAR_CELLS}}] {progress.number}/{progress.of}"


def _size(size_bytes: int) -> str:
    size, unit = float(size_bytes), 0
    while size >= 1024 and unit < len(_UNITS) - 1:
        size, unit = size / 1024, unit + 1
    return f"{size:,.0f} {_UNITS[unit]}" if unit == 0 or size >= 100 else f"{size:,.1f} {_UNITS[unit]}"


def _cut(text: str, cells: int) -> str:
    while text and cell_width(text) > cells:
        text = text[:-1]
    return text

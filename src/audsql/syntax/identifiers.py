"""Which characters a name may hold: XID_Start and XID_Continue of Unicode 14.0, and a leading `_`.

The version of Unicode belongs to the version of the language, so the ranges stand here instead of being
asked from the running Python: the same text is a name, or is not, on every machine. ASCII is left to the
lexer's own pattern. Each table is a run of `gap` or `gap.length` in base 36, from the end of the range
before; `tests/syntax/test_identifiers.py` makes them again from a Python of that Unicode version.
"""

from __future__ import annotations

import bisect
from functools import cache, lru_cache

__all__ = ["UNICODE_VERSION", "identifier_end"]

UNICODE_VERSION = "14.0.0"


@cache
def _table(encoded: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """First and last code points of the ranges of an encoded table."""
    first, last, at = [], [], 0
    for part in encoded.split():
        gap, _, length = part.partition(".")
        at += int(gap, 36)
        first.append(at)
        at += int(length or "0", 36)
        last.append(at)
    return tuple(first), tuple(last)


@lru_cache(maxsize=8192)
def _holds(encoded: str, character: str) -> bool:
    first, last = _table(encoded)
    at = bisect.bisect_right(first, ord(character)) - 1
    return at >= 0 and ord(character) <= last[at]


def _may_start(character: str) -> bool:
    if character.isascii():
        return character == "_" or character.isalpha()
    return _holds(_START, character)


def _may_continue(character: str) -> bool:
    if character.isascii():
        return character == "_" or character.isalnum()
    return _holds(_CONTINUE, character)


def identifier_end(text: str, start: int, end: int) -> int:
    """Where the longest name that begins at `start` ends, at most `end`; `start` where none begins."""
    if not _may_start(text[start]):
        return start
    at = start + 1
    while at < end and _may_continue(text[at]):
        at += 1
    return at


_START = (
    "4q b 5 6.m 2.u 2.cp 5.b f.4 8 2 3m.4 2.1 4.2 2 7 2.2 2 2.j 2.2a 2.3u 9.4l 2.11 3 7.14 20.q 5.3 1a.16 10.1 "
    "2.2q 2 g.1 8.1 b.2 3 h 2.t u.2g c p.w a.1 5 6.l 5 a 4 o.o 8.a 6.n 2.5 i.15 1n.1h 4 j 8.9 g.f 5.7 3.1 3.l 2.6 "
    "2 4.3 4 h e.1 2.2 f.1 b 9.5 5.1 3.l 2.6 2.1 2.1 2.1 w.3 2 k.2 h.8 2.2 2.l 2.6 2.1 2.4 4 j g.1 o c.7 3.1 3.l "
    "2.6 2.1 2.4 4 v.1 2.2 g i 2.5 4.2 2.3 4.1 2 2.1 4.1 4.2 4.b n 1h.7 2.2 2.m 2.f 4 r.2 3 3.1 v 5.7 2.2 2.m 2.9 "
    "2.4 4 w.1 2.1 g.1 i.8 2.2 2.14 3 h 6.2 9.2 p.5 6.h 4.n 2.8 2 3.6 1n.1b 2 e.6 1n.1 2 2.4 2.n 2 2.9 2 b 3.4 2 "
    "m.3 x 1s.7 2.z s.4 38.16 l h.5 5.3 4 4.1 8.2 5.c d i.11 2 6 3.16 2.98 2.3 3.6 2 2.3 3.14 2.3 3.w 2.3 3.6 2 "
    "2.3 3.e 2.1k 2.3 3.1u 12.f h.2d 3.5 4.h7 3.g 2.p 6.22 4.a 8.h e.i f.h f.c 2.2 g.1f 10 5 1w.2g 8.14 2 6.1x "
    "b.u 1e.t 3.4 c.17 5.p 1j.m a.1g 2b 2m.1a i.7 1j.t e.1 b.17 r.z 16.2 b.z 3.8 8.16 3.2 16.3 2.5 2.1 4 6.5b "
    "1t.7p 3.5 3.11 3.5 3.7 2 2 2 2.u 3.1g 2.6 2 4.2 2.6 4.3 3.5 5.c 6.2 2.6 39 e h.c 2u 5 3.9 2 3.5 7 2 2 2.f "
    "3.3 6.4 5 i.14 22g.6c 7.3 4.1 d.11 2 6 3.1j 8 h.m a.6 2.6 2.6 2.6 2.6 2.6 2.6 2.6 fb.2 q.8 8.4 3.4 5.2d 7.2 "
    "2.2h 2.3 6.16 2.2l i.v 1d.f e9.533 1t.h3g 1w.19 3.7g 4.f b.1 l.1a h.u 3.27 14.8 3.2u 3.1r 6.1 2 2.4 p.f 2.2 "
    "2.3 2.m u.1f f.1d 1r.5 4 2.1 c.r b.m q.s 8.1a t h.4 2.9 b.4 2.14 o.2 2.7 l.m 4 4.1d 2 4.1 3.4 3 2 p.2 3.a "
    "8.2 d.5 3.5 3.5 a.6 2.6 2.16 2.d 7.36 u.8mb d.m 5.1c 6it.a5 3.2x 13.6 d.4 6 2.9 2.c 2.4 2 2.1 2.1 2.2z y.3u "
    "7.61 j.1r 3.1h 15.9 3c 2 4 2 2 2 2.3h 11.p 7.p c.1j 3.u 4.5 3.5 3.5 3.2 10.b 2.p 2.i 2.1 2.e 3.d z.3e 1y.1g "
    "7g.s 4.1c 1c.v e.t 6.11 b.t 3.z 5.7 2.4 17.4d j.z 5.z 5.13 9.1f d.a 2.e 2.6 2.1 2.a 2.e 2.6 2.1 1w.8m a.l "
    "b.7 p.5 2.15 2.8 1y.5 3 2.17 2.1 4 3.m b.m a.u 1u.i 2.1 b.l b.p 1z.1j 7.1 1t g.3 2.2 2.s 17.s 4.s 10.7 2.r "
    "s.1h b.l b.i e.h 33.20 1k.1e e.1e e.z 9p.15 7.1 27.s b 9.l 17.h 1b.k s.m d.1g 1m.1 3 e.18 x.o r.z u 3 9.y 4 "
    "d.1b f.3 m 2 10.h 2.o 2d.6 2 2.3 2.e 2.9 8.1a 13.7 3.1 3.l 2.6 2.1 2.4 4 j d.4 4f.1g j.3 l.2 v.1b l.1 2 "
    "55.1a 16.3 11.1b l 1o.16 e 20.q 12.6 56.17 39.1r w.7 3 3.7 2.1 2.n g 2 2n.7 3.12 h 2 t b.13 8 m c.19 k j.20 "
    "7c.8 2.10 i 1e.t 35.6 2.1 2.11 m q.5 2.1 2.v f 94.i 5a 28.pl 2v.32 i.5f 219.2o g.tq 34i.g6 6nu.fs 8.u i.26 "
    "i.t j.1b h.3 w.k 6.i j5.1r 3l.22 6 1v.c 1t.1 2 t.4qf 9.yd 17.8 6w8.3 2.6 2.1 2.82 1a.2 i.3 9.az 1s5.2y 6.c "
    "4.8 8.9 4mf.2c 2.1y 2.1 3 3.1 3.3 2.b 2 2.6 2.1s 2.3 3.7 2.6 2.r 2.3 2.4 2 4.6 2.9f 3.o 2.o 2.u 2.o 2.u 2.o "
    "2.u 2.o 2.u 2.o 2.7 1f9.u de.18 b.6 h 8y.t j.17 z9.6 2.3 2.1 2.e 2.5g 1o.1v 8 xh.3 2.q 2.1 2 3 2.9 2.3 2 2 7 "
    "5 2 2 2.2 2.1 2 3 2 2 2 2 2.1 2 3.3 2.6 2.3 2.3 2 2.9 2.g 6.2 2.4 2.g 3et.wyn x.37c 8.65 3.4g1 f.5rk 2e8.f1 "
    "15v.3t6 "
)

_CONTINUE = (
    "4q b 2 3 6.m 2.u 2.cp 5.b f.4 8 2 i.38 2.1 4.2 2 7.4 2 2.j 2.2a 2.3u 2.4 3.4l 2.11 3 7.14 9.18 2 2.1 2.1 2 "
    "9.q 5.3 u.a 6.21 5.2t 2.7 3.9 2.i 3 h.1m 3.2s f.1h 5 3 3.19 j.r 5.a 6.n 2.5 a.21 2.3k 3.9 2.i 2.7 3.1 3.l "
    "2.6 2 4.3 3.8 3.1 3.3 9 5.1 2.4 3.b b 2 3.2 2.5 5.1 3.l 2.6 2.1 2.1 2.1 3 2.4 5.1 3.2 4 8.3 2 8.f c.2 2.8 "
    "2.2 2.l 2.6 2.1 2.4 3.9 2.2 2.2 3 g.3 3.9 a.6 2.2 2.7 3.1 3.l 2.6 2.1 2.4 3.8 3.1 3.2 8.2 5.1 2.4 3.9 2 h.1 "
    "2.5 4.2 2.3 4.1 2 2.1 4.1 4.2 4.b 5.4 4.2 2.3 3 7 f.9 h.c 2.2 2.m 2.f 3.8 2.2 2.3 8.1 2.2 3 3.3 3.9 h.3 2.7 "
    "2.2 2.m 2.9 2.4 3.8 2.2 2.3 8.1 7.1 2.3 3.9 2.1 e.c 2.2 2.1e 2.2 2.4 6.3 8.4 3.9 b.5 2.2 2.h 4.n 2.8 2 3.6 4 "
    "5.5 2 2.7 7.9 3.1 e.1l 6.e 2.9 14.1 2 2.4 2.n 2 2.m 3.4 2 2.5 3.9 3.3 x o.1 7.9 c 2 2 5.9 2.z 5.j 2.h 2.z a "
    "1m.21 7.25 3.11 2 6 3.16 2.98 2.3 3.6 2 2.3 3.14 2.3 3.w 2.3 3.6 2 2.3 3.e 2.1k 2.3 3.1u 3.2 a.8 f.f h.2d "
    "3.5 4.h7 3.g 2.p 6.22 4.a 8.l a.l c.j d.c 2.2 2.1 d.2b 4 5.1 3.9 y.2 2.a 7.2g 8.16 6.1x b.u 2.b 5.b b.13 3.4 "
    "c.17 5.p 7.a 12.r 5.1q 2.s 3.a 7.9 e 9.d 2.f 1e.24 4.9 i.8 d.37 d.1j 9.9 4.1c 3.8 8.16 3.2 h.2 2.12 6.et 3.5 "
    "3.11 3.5 3.7 2 2 2 2.u 3.1g 2.6 2 4.2 2.6 4.3 3.5 5.c 6.2 2.6 1v.1 k t e h.c 1g.c 5 4.b i 5 3.9 2 3.5 7 2 2 "
    "2.f 3.3 6.4 5 i.14 22g.6c 7.8 d.11 2 6 3.1j 8 g.n a.6 2.6 2.6 2.6 2.6 2.6 2.6 2.6 2.v ee.2 q.e 2.4 3.4 5.2d "
    "3.1 3.2 2.2h 2.3 6.16 2.2l i.v 1d.f e9.533 1t.h3g 1w.19 3.7g 4.r l.1b 5.9 2.36 12.8 3.2u 3.1r 6.1 2 2.4 p.1h "
    "5 k.1f d.1x b.9 7.n 4 2.1c 3.z d.s 4.1s f.a 7.u 2.1i a.d 3.9 7.m 4.20 p.2 3.f 3.4 b.5 3.5 3.5 a.6 2.6 2.16 "
    "2.d 7.3e 2.1 3.9 7.8mb d.m 5.1c 6it.a5 3.2x 13.6 d.4 6.b 2.c 2.4 2 2.1 2.1 2.2z y.3u 7.61 j.1r 3.1h 15.9 7.f "
    "h.f 4.1 p.2 y 2 4 2 2 2 2.3h k.9 8.p 5 2.p c.2g 4.5 3.5 3.5 3.2 10.b 2.p 2.i 2.1 2.e 3.d z.3e 1y.1g 3t 3n.s "
    "4.1c g w.v e.t 6.16 6.t 3.z 5.7 2.4 17.4d 3.9 7.z 5.z 5.13 9.1f d.a 2.e 2.6 2.1 2.a 2.e 2.6 2.1 1w.8m a.l "
    "b.7 p.5 2.15 2.8 1y.5 3 2.17 2.1 4 3.m b.m a.u 1u.i 2.1 b.l b.p 1z.1j 7.1 1t.3 2.1 6.7 2.2 2.s 3.2 5 x.s 4.s "
    "10.7 2.t q.1h b.l b.i e.h 33.20 1k.1e e.1e e.13 9.9 93.15 2.1 4.1 27.s b 9.w w.l 17.k s.m a.1y w.f a.1n 8 "
    "e.o 8.9 7.1g 2.9 5.3 9.z 3 a.1w 5.3 2.c 2 10.h 2.10 7 1u.6 2 2.3 2.e 2.9 8.1m 6.9 7.3 2.7 3.1 3.l 2.6 2.1 "
    "2.4 2.9 3.1 3.2 3 7 6.6 3.6 4.4 3w.22 6.9 5.3 v.1x 2 9.9 4n.1h 3.8 o.5 z.1s 4 c.9 13.1k 8.9 1j.q 3.e 5.9 7.6 "
    "56.1m 2u.21 m.7 3 3.7 2.1 2.t 2.1 3.8 d.9 1z.7 3.19 3.7 2.1 s.1q 9 9.21 4 j.20 7c.8 2.18 2.8 g.9 p.t 3.l 2.d "
    "22.6 2.1 2.17 4 2.1 2.8 9.9 7.5 2.1 2.10 2.1 2.5 8.9 8n.m 56 28.pl 2v.32 i.5f 219.2o g.tq 34i.g6 6nu.fs 8.u "
    "2.9 7.26 2.9 7.t 3.4 c.1i a.3 d.9 a.k 6.i j5.1r 3l.22 5.1k 8.g 1t.1 2.1 c.1 f.4qf 9.yd 17.8 6w8.3 2.6 2.1 "
    "2.82 1a.2 i.3 9.az 1s5.2y 6.c 4.8 8.9 4.1 3mq.19 3.m f3.4 4.5 9.7 3.6 v.3 45.2 cc.2c 2.1y 2.1 3 3.1 3.3 2.b "
    "2 2.6 2.1s 2.3 3.7 2.6 2.r 2.3 2.4 2 4.6 2.9f 3.o 2.o 2.u 2.o 2.u 2.o 2.u 2.o 2.u 2.o 2.7 3.1d e9.1i 5.1d 9 "
    "f n.4 2.e up.u 6a.6 2.g 3.6 2.1 2.4 5y.18 4.d 3.9 5 8y.u i.1l yv.6 2.3 2.1 2.e 2.5g c.6 16.23 5.9 x3.3 2.q "
    "2.1 2 3 2.9 2.3 2 2 7 5 2 2 2.2 2.1 2 3 2 2 2 2 2.1 2 3.3 2.6 2.3 2.3 2 2.9 2.g 6.2 2.4 2.g 2lx.9 sn.wyn "
    "x.37c 8.65 3.4g1 f.5rk 2e8.f1 15v.3t6 fcmu.6n "
)

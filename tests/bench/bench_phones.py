"""What checking and hashing telephone numbers costs: CPU seconds for 1.5 million of them, as one file holds at most.

    python tests/bench/bench_phones.py [--markdown]

Each row is the median of three runs over one file in memory. *One by one* is the same work as most would write it,
a line at a time with `phonenumbers` and hashlib, measured on a thirtieth of the file and multiplied; *hashlib loop* is
hashing alone, below which nothing here can come. The seeds are fixed. With --markdown the table comes as a code block
for docs/benchmarks.md.
"""

from __future__ import annotations

import hashlib
import random
import resource
import statistics
import sys
import time
from collections.abc import Callable

import phonenumbers

from audsql.data.hashing import hex_lines, sha256_digests
from audsql.data.ids import bad_codes, column_of
from audsql.data.phones import digits_of

LINES = 1_500_000
PART = 30
BAD_LINES = 300
CPU_SECONDS_MAX = 2.0


def numbers(count: int, seed: int = 606) -> list[str]:
    """Mobile and fixed-line numbers of Japan as people write them."""
    draw = random.Random(seed)
    found = []
    for _ in range(count):
        digits = draw.randrange(10_000_000)
        if draw.random() < 0.9:
            middle = f"{draw.randrange(1, 10)}{digits // 10_000:03}"
            found.append(f"{draw.choice(('090', '080', '070'))}{middle}{digits % 10_000:04}")
        else:
            found.append(f"03{draw.choice('3456')}{digits:07}")
    return found


def written(lines: list[str], hyphens: bool, bad: bool) -> bytes:
    draw = random.Random(1)
    lines = [f"{line[:3]}-{line[3:7]}-{line[7:]}" for line in lines] if hyphens else list(lines)
    if bad:
        for row in draw.sample(range(len(lines)), BAD_LINES):
            lines[row] = draw.choice(["9012345678", "+81 90 1234 5678", "090\u30fc1234\u30fc5678", "", "9.01235E+09"])
    return "\n".join([*lines, ""]).encode()


def checked_and_hashed(data: bytes) -> int:
    """As a project's list is read, and as an export hashes it."""
    codes = bad_codes(column_of(data), "phone", "jp")
    if codes.any():
        return int(codes.astype(bool).sum())
    return len(hex_lines(sha256_digests(digits_of(data).split(b"\n")[:-1])))


def one_by_one(data: bytes) -> int:
    total = 0
    for line in data.decode().splitlines():
        number = phonenumbers.parse(line, "JP")
        if phonenumbers.is_valid_number_for_region(number, "JP"):
            total += len(hashlib.sha256(f"0{number.national_number}".encode()).hexdigest())
    return total


def hashlib_loop(data: bytes) -> int:
    return len([hashlib.sha256(line).hexdigest() for line in data.split(b"\n")])


def cpu_seconds(work: Callable[[bytes], int], data: bytes, runs: int = 3) -> float:
    found = []
    for _ in range(runs):
        begin = time.process_time()
        work(data)
        found.append(time.process_time() - begin)
    return statistics.median(found)


def main() -> int:
    lines = numbers(LINES)
    plain = written(lines, False, False)
    rows = [
        ("digits: checked, normalised, hashed", cpu_seconds(checked_and_hashed, plain)),
        ("with hyphens: the same", cpu_seconds(checked_and_hashed, written(lines, True, False))),
        (f"with {BAD_LINES} bad lines: all of them found", cpu_seconds(checked_and_hashed, written(lines, True, True))),
        ("hashlib loop alone", cpu_seconds(hashlib_loop, plain)),
        ("one by one (from a part)", PART * cpu_seconds(one_by_one, written(lines[: LINES // PART], False, False), 1)),
    ]
    peak_mebibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    text = f"{LINES:,} telephone numbers, CPU seconds\n"
    text += "".join(f"  {name:42} {seconds:8.2f}\n" for name, seconds in rows)
    text += f"  one by one / checked and hashed          {rows[-1][1] / rows[0][1]:8.0f} x\n"
    text += f"  peak memory of the process               {peak_mebibytes:8.0f} MiB\n"
    print(f"```text\n{text}```" if "--markdown" in sys.argv else text, end="")
    slow = [name for name, seconds in rows[:3] if seconds > CPU_SECONDS_MAX]
    for name in slow:
        print(f"above {CPU_SECONDS_MAX} s of CPU: {name}")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())

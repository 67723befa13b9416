"""Check the model of the protocol and its known-bad variants: `python tests/lab/run_model.py`.

Needs Debian's `spin` and `gcc`. The protocol must have no violation, each variant must have one.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MODEL = Path(__file__).parents[2] / "specs" / "model" / "apply.pml"
MEMORY_MEGABYTES = 4000
SECONDS_MAX = 600

GOOD = {
    "the protocol: W=3 IDLE=1 TTL=6": "",
    "the edge: W+IDLE = TTL-1": "-DW=4",
    "3 generations, 1 crash": "-DGENERATIONS=3 -DCRASHES=1",
}
BAD = {
    "W+IDLE = TTL (W=5)": "-DW=5",
    "W+IDLE = TTL (IDLE=3)": "-DIDLE=3",
    "no window": "-DNO_WINDOW",
    "a key for each attempt": "-DFRESH_KEY",
    "a random key, lost with the journal": "-DRANDOM_KEY",
    "a new generation after a time-out": "-DAFTER_TIMEOUT",
    "the transport connects again by itself": "-DRECONNECT",
    "the generation rises without a comparison": "-DBLIND -DGENERATIONS=3",
}


def missing() -> tuple[str, ...]:
    """The programs that are not there."""
    return tuple(name for name in ("spin", "gcc") if shutil.which(name) is None)


def verdict(options: str) -> tuple[int, int, float]:
    """Errors, states and seconds of one exhaustive search. Raises RuntimeError where it did not come to an end."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        _run(["spin", "-a", *options.split(), str(MODEL)], folder)
        _run(["gcc", "-O2", "-DSAFETY", f"-DMEMLIM={MEMORY_MEGABYTES}", "-o", "pan", "pan.c"], folder)
        text = _run(["./pan", "-m1000000", "-n"], folder)
    errors, states = re.search(r"errors: (\d+)", text), re.search(r"(\d+) states, stored", text)
    cut = "out of memory" in text or "max search depth too small" in text
    if errors is None or states is None or (cut and errors[1] == "0"):
        raise RuntimeError(f"the search of {options or 'the protocol'} did not end:\n{text}")
    return int(errors[1]), int(states[1]), time.monotonic() - began


def _run(command: list[str], folder: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
    if done.returncode and command[0] != "./pan":
        raise RuntimeError(done.stdout + done.stderr)
    return done.stdout + done.stderr


def main() -> int:
    absent = missing()
    if absent:
        print(f"make model needs {' and '.join(absent)}: apt-get install {' '.join(absent)}", file=sys.stderr)
        return 1
    wrong = 0
    print("| run | expected | found | states | seconds |\n| --- | --- | --- | --- | --- |")
    for runs, expected in ((GOOD, 0), (BAD, 1)):
        for name, options in runs.items():
            errors, states, seconds = verdict(options)
            words = ("no error", "violation")
            found = words[min(errors, 1)]
            wrong += found != words[expected]
            print(f"| {name} | {words[expected]} | {found} | {states:,} | {seconds:.0f} |", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

"""The shared world of 1,000 people, and its project (tests/fixtures/make_f1000.py)."""

from __future__ import annotations

import importlib.util
import json
from contextlib import contextmanager
from pathlib import Path

from harness import place

FIXTURE = Path(__file__).parent.parent / "fixtures" / "make_f1000.py"

SOURCES = """
account shop { token: env("LINE_CHANNEL_ACCESS_TOKEN") }

upload buyers { file: "data/buyers.txt"  id: user_id }
upload optout { file: "data/optout.txt"  id: user_id }

table orders {
  file: "data/orders.csv"
  id:   user_id
  time: ordered_at
  verb  purchased by product
}

delivery msg42 { sent: "bb9744f9-47fa-4a29-941e-1234567890ab"  at: 2026-11-10 10:00  by: broadcast }

message sale { text: "セール開催中" }

policy house { always except uploaded(optout) }
"""

FOUNDING = "clicked(msg42) AND purchased(A) EXCEPT uploaded(buyers)"


def delivery(to: str, more: str = "", name: str = "sale_a") -> str:
    return f"delivery {name} {{\n  to: {to}\n  send: sale\n  {more}\n}}\n"


@contextmanager
def f1000(root: Path, specs: str, sources: str = SOURCES, rate_limits: bool = True, state: str = ""):
    spec = importlib.util.spec_from_file_location("make_f1000", FIXTURE)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main(root)
    world = json.loads((root / "world.json").read_text(encoding="utf-8"))
    if not rate_limits:
        world["rateLimits"] = False
    with place(root, world, {"shop.aud": sources + "\n" + specs}, state) as here:
        yield here

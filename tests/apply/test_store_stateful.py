"""Random calls by two holders against a model: what the compare-and-swap and the lease let through."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule
from store_cases import ANNA, BEN, NOW, TTL, sqlite_store, upload

from audsql.apply.state import Resource
from audsql.apply.store import Held, Lease, LeaseLost, Removal, RowChanged

KEYS = st.sampled_from(["upload.a", "upload.b"])
SIZES = st.integers(0, 3)


class StoreMachine(RuleBasedStateMachine):
    leases = Bundle("leases")
    rows = Bundle("rows")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.store = sqlite_store(self.folder)
        self.now = NOW
        self.lease: Lease | None = None
        self.current: dict[str, Resource] = {}
        self.serial = 0

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.folder)

    @rule(target=leases, holder=st.sampled_from([ANNA, BEN]))
    def acquire(self, holder):  # type: ignore[no-untyped-def]
        answer = self.store.acquire(holder, self.now, TTL)
        if self.lease is not None and self.now < self.lease.expires:
            assert isinstance(answer, Held) and answer.lock_id == self.lease.id
            return multiple()
        assert isinstance(answer, Lease)
        assert (answer.took_over and answer.took_over.lock_id) == (self.lease and self.lease.id)
        self.lease = answer
        return answer

    @rule(seconds=st.integers(1, 80))
    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    def stands(self, lease: Lease) -> bool:
        return self.lease is not None and self.lease.id == lease.id

    @rule(lease=leases)
    def renew(self, lease: Lease) -> None:
        if self.stands(lease):
            self.lease = self.store.renew(lease, self.now, TTL)
        else:
            with pytest.raises(LeaseLost):
                self.store.renew(lease, self.now, TTL)

    @rule(lease=leases)
    def release(self, lease: Lease) -> None:
        self.store.release(lease, self.now)
        if self.stands(lease):
            self.lease = None

    @rule(lease=leases)
    def force(self, lease: Lease) -> None:
        answer = self.store.force_release(lease.id, self.now, "ben")
        assert answer == ("released" if self.stands(lease) else "wrong_id" if self.lease else "not_held")
        if answer == "released":
            self.lease = None

    @rule(target=rows, lease=leases, address=KEYS, size=SIZES)
    def insert(self, lease, address, size):  # type: ignore[no-untyped-def]
        return self._write(lease, upload(address=address, size=size)) or multiple()

    @rule(target=rows, lease=leases, row=rows, size=SIZES)
    def change(self, lease, row, size):  # type: ignore[no-untyped-def]
        return self._write(lease, replace(row, size=size)) or multiple()

    def _write(self, lease: Lease, row: Resource) -> Resource | None:
        known = self.current.get(row.address)
        fresh = row.stamp == (known.stamp if known else upload().stamp)
        if not self.stands(lease) or not fresh:
            with pytest.raises(RowChanged if self.stands(lease) else LeaseLost):
                self.store.write(lease, self.now, "write", row)
            return None
        (stored,) = self.store.write(lease, self.now, "write", row)
        assert isinstance(stored, Resource)
        self.serial += known is None or known.size != row.size
        self.current[row.address] = stored
        return stored

    @rule(lease=leases, row=rows)
    def remove(self, lease: Lease, row: Resource) -> None:
        fresh = self.current.get(row.address) == row
        if not self.stands(lease) or not fresh:
            with pytest.raises(RowChanged if self.stands(lease) else LeaseLost):
                self.store.write(lease, self.now, "remove", Removal(row))
            return
        self.store.write(lease, self.now, "remove", Removal(row))
        del self.current[row.address]
        self.serial += 1

    @rule()
    def reopen(self) -> None:
        self.store.close()
        again = sqlite_store(self.folder)
        # Ids of a new process never meet those of the last one.
        prefix = f"{self.now.timestamp()}-{len(again.events())}-"
        numbers = iter(range(10_000))
        again._new_id = lambda: prefix + str(next(numbers))  # type: ignore[attr-defined]
        self.store = again

    @invariant()
    def agrees(self) -> None:
        state = self.store.snapshot()
        assert {row.address: row for row in state.resources} == self.current
        assert state.serial == self.serial
        held = self.store.holder()
        assert (held and held.lock_id) == (self.lease and self.lease.id)


StoreMachine.TestCase.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
TestStore = StoreMachine.TestCase

"""Who runs a command, and the lease that it writes under."""

from __future__ import annotations

import getpass
import os
import platform
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from audsql.apply.store import Held, Lease, Store

__all__ = ["is_alive", "take_lease", "user_name"]


def take_lease(store: Store, operation: str) -> Lease | Held:
    """The lease; one that a dead process of this machine left behind is taken over at once."""
    from audsql.apply.context import LEASE_SECONDS
    from audsql.apply.store import Held, Holder

    holder = Holder(user_name(), platform.node(), os.getpid(), operation)
    now, ttl = datetime.now(UTC), timedelta(seconds=LEASE_SECONDS)
    lease = store.acquire(holder, now, ttl)
    if isinstance(lease, Held) and lease.host == platform.node() and not is_alive(lease.pid):
        store.force_release(lease.lock_id, now, holder.name)
        again = store.acquire(holder, now, ttl)
        return again if isinstance(again, Held) else replace(again, took_over=lease)
    return lease


def is_alive(pid: int) -> bool:
    """Whether this machine has a process of that number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def user_name() -> str:
    """The name of the user of this process, for the history; `unknown` where the system does not say."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"

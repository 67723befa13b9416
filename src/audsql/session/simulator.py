"""The embedded simulator behind `endpoint = "sim"`: it starts from the world file and remembers between runs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from audsql.diag import Diagnostic, error

__all__ = ["embedded_simulator"]


@contextmanager
def embedded_simulator(world_file: Path, folder: Path) -> Iterator[str | Diagnostic]:
    """Yields the base URL, or why there is none. What happened in the simulator is kept in `folder`."""
    from audsql.sim.server import start_embedded

    kept = folder / "sim.json"
    path = kept if kept.is_file() else world_file
    try:
        simulator = start_embedded(json.loads(path.read_bytes()))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        yield error("AUD0022", None, path=str(path.name))
        return
    with simulator:
        try:
            yield simulator.base_url
        finally:
            folder.mkdir(mode=0o700, exist_ok=True)
            temporary = kept.with_name(f".sim.{os.getpid()}.tmp")
            temporary.write_text(json.dumps(simulator.dump(), ensure_ascii=False, sort_keys=True), encoding="utf-8")
            temporary.chmod(0o600)
            temporary.replace(kept)

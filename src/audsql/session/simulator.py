"""The embedded simulator behind `endpoint = "sim"`: it starts from the world file and remembers between runs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from audsql.diag import Diagnostic, error
from audsql.records import dataclass

__all__ = ["embedded_simulator"]


@dataclass(frozen=True, slots=True)
class Simulator:
    """`tokens`: by account, as the world file names them."""

    url: str
    tokens: Mapping[str, str]


@contextmanager
def embedded_simulator(world_file: Path, folder: Path) -> Iterator[Simulator | Diagnostic]:
    """Yields the running simulator, or why there is none. What happened in it is kept in `folder`."""
    from audsql.sim.server import start_embedded

    kept = folder / "sim.json"
    path = kept if kept.is_file() else world_file
    try:
        world = json.loads(path.read_bytes())
        simulator = start_embedded(world)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        yield error("AUD0022", None, path=str(path.name))
        return
    with simulator:
        try:
            tokens = {name: str(account.get("token", "")) for name, account in world["accounts"].items()}
            yield Simulator(simulator.base_url, tokens)
        finally:
            folder.mkdir(mode=0o700, exist_ok=True)
            temporary = kept.with_name(f".sim.{os.getpid()}.tmp")
            try:
                temporary.write_text(json.dumps(simulator.dump(), ensure_ascii=False, sort_keys=True), encoding="utf-8")
                temporary.chmod(0o600)
                temporary.replace(kept)
            except OSError as problem:
                temporary.unlink(missing_ok=True)
                raise OSError(problem.errno, problem.strerror, kept.name) from None

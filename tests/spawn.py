"""`audsql` as a real process without the half second that Python and the imports take.

A server that has imported the whole product forks itself for each command: a process of its own with its own folder,
environment and streams, whose exit status is that of the process. `run` answers as `subprocess.run` does. Tests of what
happens before the command line is read (start-up, encodings, closed pipes, an installed wheel) start Python itself.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import io
import json
import os
import pkgutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

_STATUS = struct.Struct("!i")
_REQUEST_BYTES_MAX = 1 << 20
# Their own variables are read once, at import; nothing of the command line stands there.
_NOT_IMPORTED = ("audsql.__main__", "audsql.pygments", "audsql.sim.", "audsql.data.remote.")


def run(
    arguments: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    input: str | None = None,
    timeout_seconds: float = 120,
) -> subprocess.CompletedProcess[str]:
    """`audsql ARGUMENTS` to its end: exit status (negative: the signal that ended it) and what it said, as text."""
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as said:
        given.write((input or "").encode())
        given.seek(0)
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(timeout_seconds)
            client.connect(_server())
            request = json.dumps([list(arguments), str(cwd), dict(env)]).encode()
            socket.send_fds(client, [struct.pack("!I", len(request))], [given.fileno(), out.fileno(), said.fileno()])
            client.sendall(request)
            (status,) = _STATUS.unpack(_exactly(client, _STATUS.size))
        texts = []
        for stream in (out, said):
            stream.seek(0)
            texts.append(stream.read().decode("utf-8").replace("\r\n", "\n"))
    return subprocess.CompletedProcess(["audsql", *arguments], status, *texts)


@cache
def _server() -> str:
    """The address of this process's server, started at its first use and ended with this process."""
    folder = tempfile.mkdtemp(prefix="audsql-spawn-")
    address = str(Path(folder) / "socket")
    ready, writer = os.pipe()
    process = subprocess.Popen([sys.executable, __file__, address, str(writer)], pass_fds=[writer], cwd="/")
    os.close(writer)
    with os.fdopen(ready, "rb") as stream:
        if stream.read() != b"ready":
            raise RuntimeError("the server of commands did not start")

    def end() -> None:
        process.kill()
        process.wait()
        Path(address).unlink(missing_ok=True)
        Path(folder).rmdir()

    atexit.register(end)
    return address


def _exactly(stream: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        piece = stream.recv(size - len(found))
        if not piece:
            raise EOFError("the server of commands ended")
        found += piece
    return found


# --- the server -----------------------------------------------------------------------------------


def _serve(address: str, ready: int) -> None:
    import audsql

    for module in pkgutil.walk_packages(audsql.__path__, "audsql."):
        if not f"{module.name}.".startswith(_NOT_IMPORTED):
            importlib.import_module(module.name)
    for name in ("duckdb", "httpx", "numpy", "psycopg"):
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(16)
    os.write(ready, b"ready")
    os.close(ready)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    parent = os.getppid()
    listener.settimeout(5)
    while os.getppid() == parent:
        try:
            client, _ = listener.accept()
        except TimeoutError:
            continue
        if os.fork() == 0:
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _answer(client)
        client.close()


def _answer(client: socket.socket) -> None:
    client.settimeout(None)
    head, descriptors, _, _ = socket.recv_fds(client, 4, 3)
    (size,) = struct.unpack("!I", head)
    assert size <= _REQUEST_BYTES_MAX
    arguments, folder, environment = json.loads(_exactly(client, size))
    command = os.fork()
    if command == 0:
        client.close()
        _become(arguments, folder, environment, descriptors)
    for one in descriptors:
        os.close(one)
    _, status = os.waitpid(command, 0)
    client.sendall(_STATUS.pack(os.waitstatus_to_exitcode(status)))
    os._exit(0)


def _become(arguments: list[str], folder: str, environment: dict[str, str], descriptors: list[int]) -> None:
    for number, one in enumerate(descriptors):
        os.dup2(one, number)
        os.close(one)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    tempfile.tempdir = None
    sys.argv = ["audsql", *arguments]
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), encoding="utf-8")
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "w", closefd=False)), encoding="utf-8")
    sys.stderr = io.TextIOWrapper(
        io.BufferedWriter(io.FileIO(2, "w", closefd=False)),
        encoding="utf-8",
        errors="backslashreplace",
        line_buffering=True,
    )
    from audsql.cli import main

    code: object = 70
    try:
        main()
        code = 0
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001 - as Python does at the end of a process
        sys.excepthook(*sys.exc_info())
        code = 1
    if isinstance(code, str):
        print(code, file=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]))

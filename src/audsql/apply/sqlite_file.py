"""The state file itself: making it, recognising it, opening it, and verifying all of it.

What can be seen in the file's first bytes is checked before SQLite opens it, so that a file that is
not ours, is cut short or is of a newer version stays as it was, byte for byte.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from audsql.apply.door import tables
from audsql.apply.journal import genesis
from audsql.apply.state import FORMAT_VERSION
from audsql.apply.store import StoreFailed
from audsql.apply.verified import verify_content
from audsql.data.keys import Keys
from audsql.diag import Diagnostic, error

__all__ = [
    "connect",
    "diagnose",
    "folder_locked",
    "network_filesystem",
    "prepare",
    "remove_file",
    "sync",
    "verify",
    "write_fresh",
]

_MAGIC = b"SQLite format 3\0"
_APPLICATION_ID = 0x41554453  # "AUDS"
_HEADER_BYTES = 100
_BUSY_SECONDS = 10.0
_NETWORK = frozenset(
    {
        "afs", "ceph", "cifs", "coda", "davfs", "fuse.ceph", "fuse.davfs", "fuse.gcsfuse", "fuse.glusterfs",
        "fuse.goofys", "fuse.mount-s3", "fuse.rclone", "fuse.s3fs", "fuse.sshfs", "gfs2", "glusterfs", "lustre",
        "ncpfs", "nfs", "nfs3", "nfs4", "ocfs2", "smb2", "smb3", "smbfs",
    }
)  # fmt: skip

_SCHEMA = tables(number="INTEGER", binary="BLOB", keyed=" WITHOUT ROWID")


# --- before SQLite opens it -----------------------------------------------------------------------


def prepare(path: Path, *, create: bool, environment: str, new_id: Callable[[], str]) -> bool:
    """Check that this place can hold a state and that what is there is one; make it where it is missing.

    Returns whether it was made. Raises StoreFailed.
    """
    try:
        filesystem = network_filesystem(path)
        if filesystem is not None:
            raise StoreFailed(error("AUD0609", None, path=str(path), filesystem=filesystem))
        made = False
        if not os.path.lexists(path):
            if not create:
                raise StoreFailed(error("AUD0600", None, path=str(path)))
            made = _create(path, environment, new_id)
        _check_header(path)
        _check_writable(path)
        _protect(path)
    except OSError as problem:
        raise StoreFailed(_diagnose_os(problem, path)) from problem
    return made


def network_filesystem(path: Path, mounts: str | None = None) -> str | None:
    """The type of the network file system that holds `path`; None for a local or an unknown one.

    `mounts` is a text like /proc/self/mountinfo, which is read where it is None and exists.
    """
    if mounts is None:
        try:
            mounts = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape")
        except OSError:
            return None
    place = os.path.realpath(path)
    best, kind = "", ""
    for line in mounts.splitlines():
        before, separator, after = line.partition(" - ")
        fields = before.split(" ")
        if not separator or len(fields) < 5:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), fields[4])
        inside = place == point or place.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, after.split(" ")[0]
    return kind if kind in _NETWORK else None


def _check_header(path: Path) -> None:
    if not path.is_file():
        raise StoreFailed(error("AUD0617", None, path=str(path), reason="EISDIR"))
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
        size = os.fstat(file.fileno()).st_size
    if size and len(header) < _HEADER_BYTES and _MAGIC.startswith(header[: len(_MAGIC)]):
        raise StoreFailed(error("AUD0602", None, path=str(path), size_bytes=size, expected_bytes=None, backup=None))
    if header[:16] != _MAGIC or _number(header, 68) != _APPLICATION_ID:
        raise StoreFailed(error("AUD0601", None, path=str(path), size_bytes=size, backup=None))
    found = _number(header, 60)
    if found > FORMAT_VERSION:
        raise StoreFailed(error("AUD0605", None, path=str(path), found=found, supported=FORMAT_VERSION))
    # With a write-ahead log beside it the file may rightly be shorter until the log is folded in.
    log = path.with_name(path.name + "-wal")
    expected = _page_bytes(header) * _number(header, 28)
    if size < expected and not (log.exists() and log.stat().st_size):
        problem = error("AUD0602", None, path=str(path), size_bytes=size, expected_bytes=expected, backup=None)
        raise StoreFailed(problem)


def _number(header: bytes, offset: int) -> int:
    return int.from_bytes(header[offset : offset + 4], "big")


def _page_bytes(header: bytes) -> int:
    size = int.from_bytes(header[16:18], "big")
    return 65536 if size == 1 else size


def _check_writable(path: Path) -> None:
    # Also the folder: the write-ahead log stands beside the file.
    read_only = os.statvfs(path).f_flag & os.ST_RDONLY
    if read_only or not os.access(path, os.W_OK) or not os.access(path.resolve().parent, os.W_OK):
        raise StoreFailed(error("AUD0607", None, path=str(path)))


def _protect(path: Path) -> None:
    # SQLite gives the log beside the file the file's own mode.
    if stat.S_IMODE(path.stat().st_mode) & (stat.S_IRWXG | stat.S_IRWXO):
        path.chmod(stat.S_IRUSR | stat.S_IWUSR)


# --- making it ------------------------------------------------------------------------------------


def _create(path: Path, environment: str, new_id: Callable[[], str]) -> bool:
    """Make a whole new file under another name and rename it, so that nobody ever sees half a state."""
    _make_folder(path.parent)
    with folder_locked(path.parent):
        if os.path.lexists(path):
            return False
        fresh = path.with_name(path.name + ".new")
        remove_file(fresh)
        try:
            write_fresh(fresh, environment, new_id())
            os.rename(fresh, path)
        except BaseException:
            remove_file(fresh)
            raise
        sync(path.parent)
    return True


def _make_folder(folder: Path) -> None:
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    for place in reversed(missing):
        place.mkdir(mode=0o700, exist_ok=True)


@contextmanager
def folder_locked(folder: Path) -> Iterator[None]:
    """Whoever makes or replaces a state in this folder does it alone."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def remove_file(fresh: Path) -> None:
    """Remove a database file that nobody uses, and what stands beside it."""
    for suffix in ("", "-journal", "-wal", "-shm"):
        fresh.with_name(fresh.name + suffix).unlink(missing_ok=True)


def write_fresh(fresh: Path, environment: str, lineage: str) -> None:
    """Make a file with an empty state in it, durable. Raises StoreFailed."""
    path = fresh.with_name(fresh.name.removesuffix(".new"))
    os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        connection = sqlite3.connect(_uri(fresh), uri=True, isolation_level=None)
        try:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
            connection.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
            head = genesis(lineage, environment, FORMAT_VERSION)
            connection.execute(
                "INSERT INTO meta VALUES (1, ?, ?, ?, 0, 0, ?)", (lineage, environment, FORMAT_VERSION, head)
            )
            connection.execute("INSERT INTO lease VALUES (1, 0, '', '', '', 0, '', '', '')")
            # Where a sync fails on the way, SQLite keeps the former mode and says nothing else.
            if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
                raise StoreFailed(error("AUD0612", None, path=str(path), reason="SQLITE_IOERR"))
        finally:
            connection.close()
    except sqlite3.Error as problem:
        raise StoreFailed(diagnose(problem, path)) from problem
    sync(fresh)


def sync(path: Path) -> None:
    """Make a file or a folder durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# --- opening and verifying ------------------------------------------------------------------------


def _uri(path: Path) -> str:
    return f"file:{quote(str(path.resolve()))}?mode=rw"


def connect(path: Path) -> sqlite3.Connection:
    """The one connection of a store, with the settings that durability rests on, read back.

    Raises sqlite3.Error, or StoreFailed where SQLite does not take a setting.
    """
    connection = sqlite3.connect(
        _uri(path), uri=True, isolation_level=None, timeout=_BUSY_SECONDS, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")
        settings = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
        if settings != ["wal", 2]:
            raise StoreFailed(error("AUD0603", None, path=str(path), part="settings", place=None, backup=None))
    except BaseException:
        connection.close()
        raise
    return connection


def verify(connection: sqlite3.Connection, path: Path, environment: str, keys: Keys | None = None) -> None:
    """Pages, journal chain, every row against its last event, lease and environment, the journal's signature.

    Raises StoreFailed, or sqlite3.Error where SQLite cannot read it.
    """
    connection.execute("BEGIN")
    try:
        _verify_pages(connection, path)
        verify_content(connection.execute, str(path), environment, keys)
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _verify_pages(connection: sqlite3.Connection, path: Path) -> None:
    (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if answer != "ok":
        raise StoreFailed(error("AUD0603", None, path=str(path), part="pages", place=None, backup=None))


# --- what went wrong ------------------------------------------------------------------------------


def diagnose(problem: sqlite3.Error | UnicodeDecodeError, path: Path) -> Diagnostic:
    """The diagnostic of what SQLite says."""
    code = getattr(problem, "sqlite_errorcode", None)
    name = getattr(problem, "sqlite_errorname", None)
    match code and code & 0xFF:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return error("AUD0611", None, path=str(path), seconds=int(_BUSY_SECONDS))
        case sqlite3.SQLITE_FULL:
            return error("AUD0608", None, path=str(path))
        case sqlite3.SQLITE_READONLY:
            return error("AUD0607", None, path=str(path))
        case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM | sqlite3.SQLITE_AUTH:
            return error("AUD0617", None, path=str(path), reason=name)
        case sqlite3.SQLITE_IOERR | sqlite3.SQLITE_NOMEM:
            return error("AUD0612", None, path=str(path), reason=name)
        case _:
            # Corrupt pages, text that is no text, a table or column that is not there.
            return error("AUD0603", None, path=str(path), part="pages", place=None, backup=None)


def _diagnose_os(problem: OSError, path: Path) -> Diagnostic:
    reason = errno.errorcode.get(problem.errno or 0)
    match problem.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return error("AUD0608", None, path=str(path))
        case errno.EROFS:
            return error("AUD0607", None, path=str(path))
        case errno.EIO | errno.EFBIG:
            return error("AUD0612", None, path=str(path), reason=reason)
        case _:
            return error("AUD0617", None, path=str(path), reason=reason)

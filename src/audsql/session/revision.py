"""The texts of a project as they stood at a Git revision, written to a folder of their own.

Git is asked with argument lists, never through a shell; no hook runs, nothing is fetched, nothing is written.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from audsql.config import FILE_BYTES_MAX
from audsql.diag import Diagnostic, error
from audsql.records import dataclass

__all__ = ["FILES_MAX", "Head", "Revision", "head_of", "is_kept_out", "write_revision"]

FILES_MAX = 20_000
_SECONDS_MAX = 60
_REVISION = re.compile(r"[\w@^~./{}+#%=,-]{1,200}")
_SUFFIXES = (".aud", ".toml", ".json")
_REGULAR = ("100644", "100755")
# Nothing of a repository may run a program, fetch an object or ask a person.
_SETTINGS = ("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "protocol.allow=never")
_ENVIRONMENT = {"GIT_NO_LAZY_FETCH": "1", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}


@dataclass(frozen=True, slots=True)
class Revision:
    """`root`: where the project stands below the folder that was written. `commit`: its full name."""

    root: Path
    commit: str


@dataclass(frozen=True, slots=True)
class Head:
    """The commit that a work tree stands at. `prefix`: the project's path in it, empty or with a slash at its end.
    `names`: by path, what Git calls the bytes of each regular file that a project can be made of."""

    commit: str
    prefix: str
    names: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Blob:
    path: PurePosixPath
    name: str


class _Refused(Exception):
    """Git, or what it holds, does not give the project; the diagnostic says why."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.code)
        self.diagnostic = diagnostic


def write_revision(root: Path, revision: str, target: Path) -> tuple[Revision | None, tuple[Diagnostic, ...]]:
    """Write the specs, settings and message files of the repository around `root`, as they were, below `target`."""
    try:
        if revision.startswith("-") or not _REVISION.fullmatch(revision) or ".." in revision:
            raise _Refused(error("AUD0064", None, revision=revision))
        top, prefix = _place(root)
        found = _git(top, ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"))
        if found.returncode != 0:
            raise _Refused(error("AUD0064", None, revision=revision))
        commit = found.stdout.decode("ascii", "replace").strip()
        blobs = tuple(_blobs(_output(top, ("ls-tree", "-r", "-z", "-l", "--full-tree", commit)), revision))
        if len(blobs) > FILES_MAX:
            raise _Refused(error("AUD0066", None, revision=revision, path="", limit=FILES_MAX))
        # The folder keeps its name: a project without a name of its own is called after it.
        base = target / (top.name or "project")
        _write(base, blobs, _contents(top, blobs))
        project = base.joinpath(*PurePosixPath(prefix).parts)
        if not project.is_dir():
            raise _Refused(error("AUD0067", None, revision=revision))
        return Revision(project, commit), ()
    except _Refused as refused:
        return None, (refused.diagnostic,)


def head_of(root: Path) -> Head | None:
    """The commit that the work tree around `root` stands at; None where there is none, or Git cannot be asked."""
    try:
        top, prefix = _place(root)
        found = _git(top, ("rev-parse", "--verify", "--quiet", "--end-of-options", "HEAD^{commit}"))
        if found.returncode != 0:
            return None
        commit = found.stdout.decode("ascii", "replace").strip()
        listing = _output(top, ("ls-tree", "-r", "-z", "-l", "--full-tree", commit))
        return Head(commit, prefix, {blob.path.as_posix(): blob.name for blob in _blobs(listing, commit)})
    except _Refused:
        # Without Git the history goes without a commit; nothing depends on it but `rollback`, which says so.
        return None


def is_kept_out(path: Path) -> bool:
    """Whether no commit would take this file: it is in no work tree, or ignored there. Not, where Git cannot say."""
    folder = path.resolve().parent
    if not any((one / ".git").exists() for one in (folder, *folder.parents)):
        return True
    try:
        return _git(folder, ("check-ignore", "--quiet", "--", path.name)).returncode == 0
    except _Refused:
        return False


def _place(root: Path) -> tuple[Path, str]:
    """The top of the work tree around the project, and the project's path in it."""
    found = _git(root, ("rev-parse", "--show-toplevel", "--show-prefix"))
    lines = found.stdout.decode("utf-8", "surrogateescape").split("\n")
    if found.returncode != 0 or len(lines) < 2 or not lines[0]:
        raise _Refused(error("AUD0065", None, path=str(root)))
    return Path(lines[0]), lines[1]


def _git(folder: Path, arguments: Sequence[str], given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = ("git", "--no-pager", "--no-replace-objects", *_SETTINGS, "-C", str(folder), *arguments)
    try:
        return subprocess.run(
            command,
            input=given,
            capture_output=True,
            check=False,
            timeout=_SECONDS_MAX,
            env={**os.environ, **_ENVIRONMENT},
        )
    except FileNotFoundError:
        raise _Refused(error("AUD0063", None, reason="")) from None
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise _Refused(error("AUD0063", None, reason=type(problem).__name__)) from None


def _output(folder: Path, arguments: Sequence[str], given: bytes = b"") -> bytes:
    found = _git(folder, arguments, given)
    if found.returncode != 0:
        raise _Refused(error("AUD0063", None, reason=f"git {arguments[0]}: {found.returncode}"))
    return found.stdout


def _blobs(listing: bytes, revision: str) -> Iterator[_Blob]:
    """The regular files of a tree that a project can be made of."""
    for row in listing.split(b"\0"):
        head, _, path = row.partition(b"\t")
        shown = path.decode("utf-8", "surrogateescape")
        if not path or not shown.endswith(_SUFFIXES):
            continue
        mode, kind, name, size = head.decode("ascii").split()
        if mode not in _REGULAR or kind != "blob" or not _is_inside(PurePosixPath(shown)):
            continue
        if int(size) <= FILE_BYTES_MAX:
            yield _Blob(PurePosixPath(shown), name)
        elif not shown.endswith(".json"):
            raise _Refused(error("AUD0066", None, revision=revision, path=shown, limit=FILE_BYTES_MAX))


def _is_inside(path: PurePosixPath) -> bool:
    # Names of a Git tree: no file is there yet whose real place could be asked for, as config and data.content do.
    return not path.is_absolute() and not {"..", ".git", ".audsql"} & set(path.parts)


def _contents(top: Path, blobs: Sequence[_Blob]) -> Iterator[bytes]:
    """The bytes of each, in order."""
    output = _output(top, ("cat-file", "--batch"), "".join(f"{blob.name}\n" for blob in blobs).encode())
    start = 0
    for _ in blobs:
        end = output.index(b"\n", start)
        size = int(output[start:end].rsplit(b" ", 1)[1])
        yield output[end + 1 : end + 1 + size]
        start = end + 2 + size


def _write(base: Path, blobs: Sequence[_Blob], contents: Iterator[bytes]) -> None:
    for blob, content in zip(blobs, contents, strict=True):
        path = base.joinpath(*blob.path.parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

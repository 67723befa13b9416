"""What audsql ships with: pinned, hashed, listed, under allowed licences; and a wheel that can be made again."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sbom import ADVISORIES, ROOT, audited, declared, document, locked

LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
RUNTIME_MAX = 9


@pytest.mark.threat("T66")
def test_the_lock_is_clean() -> None:
    assert audited(LOCK, json.loads(ADVISORIES.read_text(encoding="utf-8"))["advisories"]) == []


@pytest.mark.threat("T66")
def test_what_is_wrong_with_a_lock_is_found() -> None:
    pin = next(one for one in locked(LOCK) if one.name == "httpx")
    known = [{"id": "X-1", "name": "HTTPX", "versions": [pin.version]}]
    assert audited(LOCK, known) == [f"httpx {pin.version}: X-1"]
    assert f"nothing {1}.0: no hash" in audited(LOCK + "\nnothing==1.0\n", [])
    with pytest.raises(ValueError, match="not pinned"):
        audited(LOCK + "\nhttpx>=0.28\n", [])
    assert "click: not in the lock" in audited("", [])


@pytest.mark.threat("T66")
def test_the_list_has_everything_once_and_is_the_same_each_time() -> None:
    found = document(LOCK, "1.0")
    assert found == document(LOCK, "1.0")
    assert (found["bomFormat"], found["specVersion"], found["version"]) == ("CycloneDX", "1.5", 1)
    references = [one["bom-ref"] for one in found["components"]]
    assert len(set(references)) == len(references)
    names = {one["name"] for one in found["components"]}
    assert declared().keys() <= names
    assert {"httpcore", "psycopg", "cryptography"} <= names and not {"pytest", "ruff", "mypy"} & names
    for one in found["components"]:
        assert one["licenses"] and one["externalReferences"][0]["hashes"], one["name"]
        assert one["purl"] == f"pkg:pypi/{one['name']}@{one['version']}"
    known = {*references, found["metadata"]["component"]["bom-ref"]}
    for one in found["dependencies"]:
        assert {one["ref"], *one["dependsOn"]} <= known


@pytest.mark.threat("T66")
def test_few_packages_are_needed_at_run_time() -> None:
    assert sum(how == "required" for how in declared().values()) <= RUNTIME_MAX


@pytest.mark.threat("T66")
def test_two_builds_are_the_same_bytes(tmp_path: Path) -> None:
    digests = set()
    for name in ("a", "b"):
        command = [
            sys.executable,
            "-m",
            "build",
            "--wheel",
            "--no-isolation",
            "--outdir",
            str(tmp_path / name),
            str(ROOT),
        ]
        environment = {**os.environ, "SOURCE_DATE_EPOCH": "1767225600"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        (wheel,) = (tmp_path / name).glob("*.whl")
        digests.add(hashlib.sha256(wheel.read_bytes()).hexdigest())
    assert len(digests) == 1

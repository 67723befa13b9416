"""`make sbom` and `make audit`: what audsql ships with, from the lock and what is installed; no network.

    python tests/supply/sbom.py [--audit]

Prints a CycloneDX 1.5 document of the dependencies at run time and of the extras, the same bytes for the same lock.
With --audit it checks the whole lock instead: every package pinned and hashed, none in tests/supply/advisories.json,
and the licences of what is shipped in the list of those allowed.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
ADVISORIES = Path(__file__).parent / "advisories.json"
EXTRAS = ("encryption", "postgres")
LICENCES_ALLOWED = ("Apache", "BSD", "ISC", "LGPL", "MIT", "MPL", "PSF", "Python Software Foundation", "0BSD", "Zlib")
_PIN = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==(\S+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_NAME = re.compile(r"[A-Za-z0-9._-]+")


@dataclass(frozen=True)
class Pin:
    """A package of the lock; `hashes` of its files, sorted."""

    name: str
    version: str
    hashes: tuple[str, ...]


def canonical(name: str) -> str:
    """A name as packaging compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(text: str) -> tuple[Pin, ...]:
    """The packages of a lock. Raises ValueError for an entry that is not pinned."""
    pins = []
    for entry in text.replace("\\\n", " ").splitlines():
        if not entry.strip() or entry.lstrip().startswith("#"):
            continue
        found = _PIN.match(entry.strip())
        if found is None:
            raise ValueError(f"not pinned: {entry.strip()[:80]}")
        pins.append(Pin(canonical(found[1]), found[2].rstrip(";"), tuple(sorted(_HASH.findall(entry)))))
    return tuple(sorted(pins, key=lambda pin: (pin.name, pin.version)))


def declared() -> dict[str, str]:
    """The direct dependencies by canonical name: `required`, or the extra that brings them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = {canonical(_NAME.match(one)[0]): "required" for one in project["dependencies"]}  # type: ignore[index]
    for extra in EXTRAS:
        for one in project["optional-dependencies"][extra]:
            found.setdefault(canonical(_NAME.match(one)[0]), extra)  # type: ignore[index]
    return found


def shipped(pins: tuple[Pin, ...]) -> tuple[Pin, ...]:
    """What is installed with audsql and its extras: the direct dependencies and all that they need."""
    by_name = {pin.name: pin for pin in pins}
    waiting, seen = sorted(declared()), set()
    while waiting:
        name = waiting.pop()
        if name not in seen and name in by_name:
            seen.add(name)
            waiting += sorted(needs(name))
    return tuple(by_name[name] for name in sorted(seen))


def needs(name: str) -> set[str]:
    """What an installed package requires without extras; empty where it is not installed."""
    try:
        listed = metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return set()
    return {canonical(_NAME.match(one)[0]) for one in listed if "extra ==" not in one}  # type: ignore[index]


def licence(name: str) -> str:
    """As the package itself says it, on one line; empty where it is not installed or says nothing."""
    try:
        about = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return ""
    classified = [one.rpartition("::")[2].strip() for one in about.get_all("Classifier") or [] if "License ::" in one]
    said = about.get("License-Expression") or (classified[0] if classified else about.get("License") or "")
    return said.strip().splitlines()[0] if said.strip() else ""


def document(text: str, version: str) -> dict[str, Any]:
    """The CycloneDX document of a lock."""
    pins = shipped(locked(text))
    names = {pin.name for pin in pins}
    references = {pin.name: f"pkg:pypi/{pin.name}@{pin.version}" for pin in pins}
    own = f"pkg:pypi/audsql@{version}"
    depends = [{"ref": own, "dependsOn": sorted(references[name] for name in declared() if name in names)}]
    depends += [
        {"ref": references[pin.name], "dependsOn": sorted(references[one] for one in needs(pin.name) & names)}
        for pin in pins
    ]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": "audsql", "version": version, "bom-ref": own}},
        "components": [_component(pin, references[pin.name]) for pin in pins],
        "dependencies": depends,
    }


def _component(pin: Pin, reference: str) -> dict[str, Any]:
    said = licence(pin.name)
    return {
        "type": "library",
        "bom-ref": reference,
        "name": pin.name,
        "version": pin.version,
        "purl": reference,
        "scope": "required" if declared().get(pin.name) == "required" else "optional",
        **({"licenses": [{"license": {"name": said}}]} if said else {}),
        # The files of a release; which one is installed depends on the machine.
        "externalReferences": [
            {
                "type": "distribution",
                "url": f"https://pypi.org/project/{pin.name}/{pin.version}/",
                "hashes": [{"alg": "SHA-256", "content": one} for one in pin.hashes],
            }
        ],
    }


def audited(text: str, advisories: list[dict[str, Any]]) -> list[str]:
    """What is wrong with a lock, one line each, sorted. An advisory names a package and its bad versions."""
    pins = locked(text)
    problems = [f"{pin.name} {pin.version}: no hash" for pin in pins if not pin.hashes]
    bad = {(canonical(one["name"]), version): one["id"] for one in advisories for version in one["versions"]}
    problems += [
        f"{pin.name} {pin.version}: {bad[pin.name, pin.version]}" for pin in pins if (pin.name, pin.version) in bad
    ]
    problems += [
        f"{pin.name} {pin.version}: licence {licence(pin.name) or 'unknown'}"
        for pin in shipped(pins)
        if not any(allowed in licence(pin.name) for allowed in LICENCES_ALLOWED)
    ]
    missing = sorted(declared().keys() - {pin.name for pin in pins})
    return sorted([*problems, *(f"{name}: not in the lock" for name in missing)])


def main(audit: bool) -> int:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    if not audit:
        print(json.dumps(document(text, version), indent=1, sort_keys=True))
        return 0
    problems = audited(text, json.loads(ADVISORIES.read_text(encoding="utf-8"))["advisories"])
    print("\n".join(problems) or f"{len(locked(text))} packages: pinned, hashed, none of them known to be bad")
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main("--audit" in sys.argv))

"""Licences of all that uv.lock names, in one table beside this file; an unknown or unwanted one fails.

The check is offline: it compares the lock file with the table. `make licenses` adds what is missing to the table from
the packages' own metadata, and leaves `?` where they do not say it in words that can be read.
"""

from __future__ import annotations

import csv
import os
import re
import subprocess
import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from email.message import Message
from email.parser import HeaderParser
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[2]
TABLE = Path(__file__).with_name("licenses.csv")
UNKNOWN = "?"
NVIDIA = "LicenseRef-NVIDIA-Proprietary"
ALLOWED = {
    *("0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "CNRI-Python", "ISC", "MIT", "MIT-0"),
    *("MIT-CMU", "MPL-2.0", "PSF-2.0", "Unlicense", "Zlib", "LLVM-exception"),
}
"""Licences that let an Apache-2.0 project ship in images beside the package; MPL-2.0 as long as it is unchanged."""
CUDA = re.compile(r"nvidia-|cuda-toolkit$")
"""CUDA's libraries come with torch and may be redistributed as they are; nothing else may have that licence."""
SPOKEN = {
    r"apache( software)?( license)?,?( version)? ?2?(\.0)?( license)?|https://www.apache.org/.*": "Apache-2.0",
    r"apache-2.0": "Apache-2.0",
    r"mit( license)?|mit style": "MIT",
    r"bsd[ -]3[ -]clause( license)?|3-clause bsd license": "BSD-3-Clause",
    r"bsd[ -]2[ -]clause( license)?": "BSD-2-Clause",
    r"isc( license)?( \(iscl\))?": "ISC",
    r"mpl-2.0|mozilla public license 2.0 \(mpl 2.0\)": "MPL-2.0",
    r"mpl-2.0 and mit": "MPL-2.0 AND MIT",
    r"psf-2.0|python software foundation license": "PSF-2.0",
    r"nvidia proprietary software": NVIDIA,
}
Locked = tuple[str, str]
"""Name and version."""


def locked(path: Path = ROOT / "uv.lock") -> list[Locked]:
    """Every package that the lock file takes from a registry."""
    packages = tomllib.loads(path.read_text())["package"]
    return sorted((package["name"], package["version"]) for package in packages if "registry" in package["source"])


def table(path: Path = TABLE) -> dict[Locked, str]:
    """Licence expression of each package."""
    with path.open(newline="") as stream:
        return {(row["name"], row["version"]): row["license"] for row in csv.DictReader(stream)}


def faults(packages: Iterable[Locked], known: Mapping[Locked, str]) -> list[str]:
    """What is wrong, package by package."""
    found = []
    for name, version in packages:
        license_ = known.get((name, version))
        if license_ is None:
            found.append(f"{name} {version} has no row in {TABLE.relative_to(ROOT)}: run make licenses")
        elif refused := sorted(ids(license_) - _allowed(name)):
            found.append(f"{name} {version} is {license_}: {', '.join(refused)} is not allowed (dev/supply)")
    return found


def ids(expression: str) -> set[str]:
    """All licences that an SPDX expression names: each must be allowed, whichever one could be chosen."""
    return set(re.split(r"\s+(?:AND|OR|WITH)\s+", re.sub(r"[()]", "", expression).strip()))


def _allowed(name: str) -> set[str]:
    return {*ALLOWED, NVIDIA} if CUDA.match(name) else ALLOWED


def write(sites: Iterable[Path]) -> None:
    """Bring the table up to date: rows of what is locked stay, others go, missing ones are read from metadata."""
    known, installed = table() if TABLE.exists() else {}, _installed(sites)
    rows = {}
    for package in locked():
        rows[package] = known.get(package) or spoken(installed.get(package) or _fetched(*package))
    with TABLE.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("name", "version", "license"))
        writer.writerows((*package, license_) for package, license_ in rows.items())


def spoken(found: Message | None) -> str:
    """SPDX expression of a package's metadata; `?` if it cannot be told."""
    if found is None:
        return UNKNOWN
    if expression := found.get("License-Expression"):
        return str(expression)
    classifiers = (str(line) for line in found.get_all("Classifier") or [])
    names = [line.rpartition(" :: ")[2] for line in classifiers if line.startswith("License :: OSI Approved ::")]
    for text in (str(found.get("License") or "").strip().partition("\n")[0], *names):
        for pattern, license_ in SPOKEN.items():
            if re.fullmatch(pattern, text, re.IGNORECASE):
                return license_
    return UNKNOWN


def _installed(sites: Iterable[Path]) -> dict[Locked, Message]:
    found = metadata.distributions(path=[str(site) for site in sites])
    return {(_normal(one.metadata["Name"]), one.version): HeaderParser().parsestr(_text(one)) for one in found}


def _text(distribution: metadata.Distribution) -> str:
    return distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _fetched(name: str, version: str) -> Message | None:
    """Metadata of the package as it installs, for whatever Python it is."""
    with tempfile.TemporaryDirectory() as folder:
        for python in ("3.11", "3.12", "3.13"):
            words = ["--quiet", "--no-deps", "--no-cache", f"--python-version={python}", "--target", folder]
            command = [os.environ.get("UV", "uv"), "pip", "install", *words, f"{name}=={version}"]
            if subprocess.run(command, check=False, capture_output=True).returncode == 0:
                return _installed([Path(folder)])[name, version]
    return None

"""The bill of materials as CycloneDX: one file per image from the lock file, one for the Go tools of the tests."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "build/sbom"
IMAGES = ("operator", "trainer", "server")
MODULES = ROOT / "dev/localcluster/tools"
REQUIRED = re.compile(r"^(?:require )?\s*(\S+\.\S+) (v\S+)(?: // indirect)?$", re.MULTILINE)
REPLACED = re.compile(r"^(?:replace )?\s*(\S+) => (\S+) (v\S+)$", re.MULTILINE)


def write(uv: str) -> list[Path]:
    """All files, made anew."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    return [*(_image(uv, name) for name in IMAGES), _tools()]


def purls(path: Path) -> list[str]:
    """Package URLs of a file's components, without duplicates."""
    found = (component.get("purl", "") for component in json.loads(path.read_text())["components"])
    return sorted({purl for purl in found if purl})


def _image(uv: str, extra: str) -> Path:
    target = FOLDER / f"{extra}.cdx.json"
    options = ["--frozen", "--no-dev", "--extra", extra, "--no-emit-project", "--format", "cyclonedx1.5"]
    command = [uv, "export", "--quiet", *options, "-o", str(target)]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return target


def _tools() -> Path:
    target = FOLDER / "test-tools.cdx.json"
    found = sorted({module for path in MODULES.glob("*/go.mod") for module in modules(path.read_text())})
    parts = [_component(name, version) for name, version in found]
    head = {"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1}
    target.write_text(json.dumps({**head, "components": parts}, indent=1))
    return target


def modules(text: str) -> Iterator[tuple[str, str]]:
    """Path and version of every module that a go.mod takes, as replaced."""
    replaced = {old: (new, version) for old, new, version in REPLACED.findall(text)}
    for name, version in REQUIRED.findall(text):
        yield replaced.get(name, (name, version))


def _component(name: str, version: str) -> dict[str, Any]:
    return {"type": "library", "name": name, "version": version, "purl": f"pkg:golang/{name}@{version}"}

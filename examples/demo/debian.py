"""Entries of Debian's own package index: apt fetches it, no package is installed."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

HELPER = "/usr/lib/apt/apt-helper"
FIELD = re.compile(r"^([A-Za-z0-9-]+):[ \t]*(.*(?:\n[ \t].*)*)", re.MULTILINE)
Entry = dict[str, str]


def indexes(*languages: str) -> list[list[Entry]]:
    """Entries of the main archive: its packages, then the descriptions in each language ("en", "de")."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "partial").mkdir()
        settings = ["-o", f"Acquire::Languages={','.join(languages)}", "-o", f"Dir::State::lists={folder}"]
        subprocess.run(["apt-get", "-q", *settings, "update"], check=True, stdout=subprocess.DEVNULL)
        kinds = ("binary-*_Packages*", *(f"i18n_Translation-{language}*" for language in languages))
        found = [sorted(folder.glob(f"*_main_{kind}")) for kind in kinds]
        return [[entry for path in paths for entry in entries(_read(path))] for paths in found]


def entries(text: str) -> Iterator[Entry]:
    """The entries of an index: fields by name; lines after the first begin with a space."""
    for block in text.split("\n\n"):
        if found := dict(FIELD.findall(block)):
            yield found


def source_of(entry: Entry) -> str:
    """The source that a package is built from: packages of one source have texts that are nearly the same."""
    return entry.get("Source", entry["Package"]).split()[0]


def paragraphs(description: str) -> tuple[str, str]:
    """The synopsis, and the long description as one line per paragraph; lists and the like keep their words."""
    synopsis, _, rest = description.partition("\n")
    parts = re.split(r"\n \.", f"\n{rest}")
    return synopsis.strip(), "\n".join(text for part in parts if (text := " ".join(part.split())))


def _read(path: Path) -> str:
    return subprocess.check_output([HELPER, "cat-file", str(path)], text=True, errors="replace")

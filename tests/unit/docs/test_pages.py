import re
from pathlib import Path

import pytest
import yaml

from modelyard import names
from tests.docs import ROOT, WALK, Block, all_blocks, blocks, pages
from tests.helm import helm
from tests.trainer.architectures import ARCHITECTURES
from tests.unit.chart.conftest import CHART

MARKED = [block for language in ("sh", "yaml", "python", "json", "lua") for block in all_blocks(language)]
PLAIN = {"", "text", "json", "mermaid"}
"""What programs print, and pictures."""


@pytest.mark.parametrize("block", MARKED, ids=str)
def test_every_block_is_run_or_says_why_not(block: Block) -> None:
    """Add a mark to the block's first line, as tests/docs.py says, or the page to WALK there."""
    if block.mark.startswith("run-by: "):
        assert (ROOT / block.mark.removeprefix("run-by: ")).exists()
    elif block.mark.startswith("not-run: "):
        assert len(block.mark.removeprefix("not-run: ").split()) >= 4
    elif block.language == "sh":
        assert block.mark == "" and block.page in WALK, f"{block}: nothing runs it"
    elif block.language == "yaml":
        assert block.mark in ("", "helm-values")
        assert block.mark or all("kind" in part for part in yaml.safe_load_all(block.text))
    else:
        assert block.language in PLAIN, f"{block}: nothing runs it"


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_fences_and_links(page: Path) -> None:
    text = page.read_text()
    languages = {block.language for block in blocks(page)}
    assert languages <= {"sh", "yaml", "python", "lua"} | PLAIN, languages
    assert text.count("\n```") == 2 * len(blocks(page)), "a fence that tests/docs.py cannot read"
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("block", all_blocks("yaml", "helm-values"), ids=str)
def test_values_render(block: Block, tmp_path: Path) -> None:
    (tmp_path / "values.yaml").write_text(block.text)
    done = helm("template", "prod", str(CHART), "--kube-version", "1.34.0", "-f", str(tmp_path / "values.yaml"))
    assert done.returncode == 0, done.stderr


def test_the_page_of_labels_has_every_name() -> None:
    text = (ROOT / "docs/labels.md").read_text()
    prefixes = ("LABEL_", "ANNOTATION_", "FINALIZER_", "SECRET_", "MANAGED_BY")
    asked = {value for name, value in vars(names).items() if name.startswith(prefixes)} - {names.SECRET_MISSING}
    assert sorted(word for word in asked if f"`{word}`" not in text) == []
    listed = set(re.findall(r"^\| `(modelyard\.dev/[\w-]+)` \|", text, re.MULTILINE))
    assert sorted(listed - asked) == []


def test_the_page_of_bases_has_every_architecture_that_is_tried() -> None:
    text = (ROOT / "docs/bases-and-data.md").read_text()
    rows = re.findall(r"^\| `([\w-]+)` \| `([\w-]+)` \|.*\| yes \| yes \| yes \|", text, re.MULTILINE)
    assert dict(rows) == {name: architecture.type for name, architecture in ARCHITECTURES.items()}

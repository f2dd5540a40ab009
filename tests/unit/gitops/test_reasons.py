import re
from pathlib import Path

from modelyard import names
from modelyard.api.run import REASONS
from tests.failure_modes import rows

ROOT = Path(__file__).parents[3]


def reasons() -> set[str]:
    """Every reason word of names.py."""
    source = Path(names.__file__).read_text().split("# Reasons:")[1].split("\ndef ")[0]
    return set(re.findall(r'^\w+: Final = "(\w+)"', source, re.MULTILINE))


def test_every_reason_has_its_row_and_every_row_its_reason() -> None:
    assert set(rows()) == reasons() | {names.READY}, "docs/failure-modes.md and names.py differ"


def test_every_exit_code_has_a_row() -> None:
    assert set(REASONS.values()) <= set(rows())


def test_every_row_is_whole() -> None:
    for reason, cells in rows().items():
        assert len(cells) in (3, 4) and all(cell.strip() for cell in cells), reason


def test_every_reason_is_shown_by_a_test() -> None:
    tests = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    constants = {word: name for name, word in vars(names).items() if isinstance(word, str)}
    unseen = {word for word in reasons() if f'"{word}"' not in tests and f"names.{constants[word]}" not in tests}
    assert not unseen

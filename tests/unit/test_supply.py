from __future__ import annotations

from collections.abc import Sequence
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from dev.supply import audit, bom, licenses


def test_every_locked_package_has_an_allowed_licence() -> None:
    assert licenses.faults(licenses.locked(), licenses.table()) == []


@pytest.mark.parametrize(
    ("name", "license_", "told"),
    [
        ("a", None, "a 1 has no row in dev/supply/licenses.csv: run make licenses"),
        ("a", "?", "? is not allowed"),
        ("a", "AGPL-3.0-only", "AGPL-3.0-only is not allowed"),
        ("a", "MIT OR GPL-3.0-only", "GPL-3.0-only is not allowed"),
        ("a", "MIT AND (Apache-2.0 OR SSPL-1.0)", "SSPL-1.0 is not allowed"),
        ("a", "LicenseRef-NVIDIA-Proprietary", "LicenseRef-NVIDIA-Proprietary is not allowed"),
        ("nvidia-cublas", "LicenseRef-NVIDIA-Proprietary", ""),
        ("a", "Apache-2.0 WITH LLVM-exception", ""),
        ("a", "MIT", ""),
    ],
)
def test_licences(name: str, license_: str | None, told: str) -> None:
    found = licenses.faults([(name, "1")], {} if license_ is None else {(name, "1"): license_})
    assert (told in found[0]) if told else found == []


@pytest.mark.parametrize(
    ("headers", "license_"),
    [
        ({"License-Expression": "MIT AND ISC", "License": "GPL"}, "MIT AND ISC"),
        ({"License": "Apache License, Version 2.0"}, "Apache-2.0"),
        ({"License": "BSD"}, "?"),
        ({"Classifier": "License :: OSI Approved :: MIT License"}, "MIT"),
        ({}, "?"),
    ],
)
def test_what_metadata_say(headers: dict[str, str], license_: str) -> None:
    message = Message()
    for name, value in headers.items():
        message[name] = value
    assert licenses.spoken(message) == license_


def test_go_modules_as_replaced() -> None:
    text = "require (\n\ta.dev/x v1.0.0\n\tb.dev/y v0.0.0 // indirect\n)\nreplace (\n\tb.dev/y => b.dev/y v0.34.4\n)\n"
    assert list(bom.modules(text)) == [("a.dev/x", "v1.0.0"), ("b.dev/y", "v0.34.4")]
    assert list(bom.modules("require github.com/coredns/coredns v1.14.7\n")) == [
        ("github.com/coredns/coredns", "v1.14.7")
    ]


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = tmp_path / "operator.cdx.json"
    made.write_text('{"components": [{"purl": "pkg:pypi/a@1"}, {"purl": "pkg:pypi/b@2"}, {"name": "no purl"}]}')
    monkeypatch.setattr(bom, "write", lambda uv: [made])
    return tmp_path / "audit.md"


def test_nothing_is_known(parts: Path) -> None:
    assert audit.run("uv", lambda purls: [[] for _ in purls], parts) == audit.CLEAN
    assert "No vulnerability is known." in parts.read_text() and "| operator | 2 |" in parts.read_text()


def test_something_is_known(parts: Path) -> None:
    assert (
        audit.run("uv", lambda purls: [["CVE-1", "CVE-2"] if "/b@" in p else [] for p in purls], parts) == audit.FOUND
    )
    assert "| `pkg:pypi/b@2` | operator | CVE-1, CVE-2 |" in parts.read_text()


def test_no_answer_is_no_clean_bill(parts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def away(purls: Sequence[str]) -> list[list[str]]:
        raise audit.Unreachable("no such host")

    assert audit.run("uv", away, parts) == audit.UNREACHABLE
    assert "Not checked: the database could not be reached" in parts.read_text()
    assert "No vulnerability" not in parts.read_text() and "exit code 3" in capsys.readouterr().out


def test_a_database_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "DATABASE", "http://127.0.0.1:9/")
    with pytest.raises(audit.Unreachable):
        audit.osv(["pkg:pypi/a@1"])


def test_answers() -> None:
    answer: dict[str, Any] = {"results": [{}, {"vulns": [{"id": "CVE-1"}]}]}
    assert audit.ids_of(answer, 2) == [[], ["CVE-1"]]
    with pytest.raises(ValueError, match="2 answers to 3 questions"):
        audit.ids_of(answer, 3)

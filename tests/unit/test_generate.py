from pathlib import Path

import pytest

from modelyard import generate
from modelyard.__main__ import main

ROOT = Path(__file__).parents[2]


def test_the_checkout_is_up_to_date() -> None:
    assert generate.stale(ROOT) == []


def test_writes_everything_once(tmp_path: Path) -> None:
    assert sorted(generate.write(tmp_path)) == sorted(generate.files())
    assert generate.write(tmp_path) == []


def test_names_and_mends_what_is_stale(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generate.write(tmp_path)
    (tmp_path / "crds/datasets.yaml").write_text("edited")
    (tmp_path / "crds/gone.yaml").write_text("of a kind that is no more")
    assert main(["generate", "--root", str(tmp_path), "--check"]) == 1
    told = capsys.readouterr().err
    assert "crds/datasets.yaml" in told and "crds/gone.yaml" in told and "finetunejobs" not in told
    assert main(["generate", "--root", str(tmp_path)]) == 0
    assert main(["generate", "--root", str(tmp_path), "--check"]) == 0


def test_helm_finds_no_template_in_escaped_text() -> None:
    assert generate.escaped("a {{ b }} c") == 'a {{ "{{" }} b }} c'


@pytest.mark.parametrize("command", ["run", "crds", "rbac", "generate", "release-finalizers"])
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    assert f"modelyard {command}" in capsys.readouterr().out


def test_crds_and_rbac_go_to_standard_output(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["crds"]) == 0 and capsys.readouterr().out.count("kind: CustomResourceDefinition") == 6
    assert main(["rbac"]) == 0 and capsys.readouterr().out.count("\nrules:") == 2
    assert main(["crds", "--output", str(tmp_path)]) == 0 and len(list(tmp_path.glob("*.yaml"))) == 6

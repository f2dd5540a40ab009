"""Hostile model folders through the real loader: nothing in them is ever executed, and the message names the file."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import cast

import pytest

from modelyard import names
from modelyard.api import layout
from modelyard.api.run import ExitCode, FileEntry, Manifest, digest_of
from modelyard.storage.publish import describe, publish
from modelyard_trainer.checkpoints import Place, newest
from modelyard_trainer.command import make_run
from modelyard_trainer.data.rows import SPLITS
from modelyard_trainer.errors import TrainerError
from modelyard_trainer.run import TrainRun
from modelyard_trainer.safe import check_folder
from modelyard_trainer.stages import fetch, load
from modelyard_trainer.stopping import Stop
from tests.trainer.harness import BUCKET, TrainerHarness, environment
from tests.trainer.spoils import LEFT_OUT, REFUSED, Spoil, code, pickled, template_with_code, torch_zip

OUTSIDE = ("../../evil.json", "/etc/evil.json", "a/../../evil.json", "evil.pkl", "a\\..\\b.json")


def test_the_payload_works(tmp_path: Path) -> None:
    """Or all of the below would prove nothing."""
    pickle.loads(pickled(tmp_path / "canary"))
    exec(code(tmp_path / "other"), {})
    assert (tmp_path / "canary").exists() and (tmp_path / "other").exists()


@pytest.mark.parametrize(("spoil", "file"), REFUSED, ids=lambda value: getattr(value, "__name__", ""))
def test_refused_by_name(
    harness: TrainerHarness, base_folder: Path, dataset: dict[str, str], tmp_path: Path, spoil: Spoil, file: str
) -> None:
    canary = tmp_path / "canary"
    pin = spoiled(harness, base_folder, tmp_path, spoil, canary)
    config = harness.train_config(f"run-{spoil.__name__}".replace("_", "-"), pin, dataset)
    code, outcome = harness.run(config)
    assert not canary.exists()
    assert code == ExitCode.BASE_INVALID
    assert outcome.reason in {names.BASE_UNSAFE, names.BASE_INVALID}
    assert f"{file} of spec.from.base" in outcome.message or f"{file})" in outcome.message
    assert harness.store.stat(BUCKET, layout.manifest_key(layout.version_prefix(config.prefix))) is None


def spoiled(harness: TrainerHarness, base_folder: Path, tmp_path: Path, spoil: Spoil, canary: Path) -> dict[str, str]:
    folder = tmp_path / "base"
    shutil.copytree(base_folder, folder)
    spoil(folder, canary)
    return harness.put_folder(f"hostile/{spoil.__name__}/", folder)


@pytest.mark.parametrize(("spoil", "found"), LEFT_OUT, ids=lambda value: getattr(value, "__name__", ""))
def test_what_could_bring_code_is_left_out_or_never_run(
    harness: TrainerHarness, base_folder: Path, dataset: dict[str, str], tmp_path: Path, spoil: Spoil, found: set[str]
) -> None:
    canary = tmp_path / "canary"
    name = f"loaded-{spoil.__name__}".replace("_", "-")
    config = harness.train_config(name, spoiled(harness, base_folder, tmp_path, spoil, canary), dataset)
    with environment(harness.environment()):
        run = cast("TrainRun", make_run(config, tmp_path / "work", Stop()))
        try:
            fetch.execute(run)
            load.execute(run)
        finally:
            run.progress.close()
    assert not canary.exists()
    assert set(run.figures.get("left_out", ())) == found
    assert type(run.model).__module__.startswith("transformers.models.bert")
    for path in run.base.glob("*.json"):
        assert "evil" not in path.read_text().replace(str(canary), "") or spoil is template_with_code


def test_lists_that_honest_models_have_are_no_reason(base_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(base_folder, tmp_path / "base"))
    (folder / "modules.json").write_text('[{"idx": 0, "type": "sentence_transformers.models.Transformer"}]')
    assert check_folder(folder) == []


def test_links_are_refused(base_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(base_folder, tmp_path / "base"))
    (folder / "generation_config.json").symlink_to("/etc/hostname")
    with pytest.raises(TrainerError, match=r"generation_config\.json of .* is refused: it is no plain file"):
        check_folder(folder)
    with pytest.raises(Exception, match=r"generation_config\.json is a link"):
        describe(folder, "model", {})


@pytest.mark.parametrize("path", OUTSIDE)
def test_a_manifest_that_leads_out(
    harness: TrainerHarness, base: dict[str, str], dataset: dict[str, str], path: str
) -> None:
    """Prepared rows whose manifest names a file outside of its folder, or one that is never loaded."""
    name = f"leads-out-{digest_of(path.encode())[7:17]}"
    prefix = f"ns/team/datasets/{name}/p1/"
    info = json.loads(harness.store.get(BUCKET, layout.manifest_key(dataset["prefix"])))["info"]
    entry = FileEntry(path=path, size=1, sha256="0" * 64)
    shards = [FileEntry(path=f"{split}-00000.parquet", size=1, sha256="0" * 64) for split in SPLITS]
    manifest = Manifest(kind="dataset", files=[entry, *shards], info=info)
    harness.store.put(BUCKET, layout.manifest_key(prefix), manifest.to_bytes())
    code, outcome = harness.run(harness.train_config(name, base, {**dataset, "prefix": prefix}))
    assert code == ExitCode.CORRUPT and repr(path) in outcome.message


@pytest.mark.parametrize("file", ["optimizer.pt", "scheduler.pt", "rng_state.pth"])
def test_a_checkpoint_with_a_pickle_is_named_and_never_used(
    harness: TrainerHarness, tmp_path: Path, caplog: pytest.LogCaptureFixture, file: str
) -> None:
    canary, folder = tmp_path / "canary", tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": 5}))
    (folder / file).write_bytes(torch_zip(canary) if file == "optimizer.pt" else pickled(canary))
    place = Place(harness.store, BUCKET, layout.run_prefix("team", "words", f"hostile-{file}"))
    publish(harness.store, BUCKET, place.prefix(5), folder, "checkpoint", {"step": 5})
    assert newest(place, tmp_path / "resume") is None
    assert not canary.exists() and file in caplog.text
    assert place.steps() == ([], [])


def test_an_honest_checkpoint_is_used(harness: TrainerHarness, tmp_path: Path) -> None:
    import numpy as np
    import torch

    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": 5}))
    torch.save({"state": {0: torch.ones(4)}, "param_groups": [{"lr": 0.1}]}, folder / "optimizer.pt")
    torch.save({"numpy": np.random.get_state(), "cpu": torch.random.get_rng_state()}, folder / "rng_state.pth")
    place = Place(harness.store, BUCKET, layout.run_prefix("team", "words", "honest"))
    publish(harness.store, BUCKET, place.prefix(5), folder, "checkpoint", {"step": 5})
    found = newest(place, tmp_path / "resume")
    assert found is not None and found.step == 5

"""Loading checks the files once more, and says what is wrong with them before anything is served."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from modelyard.api.run import ExitCode
from modelyard.storage.errors import Corrupt
from modelyard.storage.publish import describe
from modelyard_server.load import load
from modelyard_server.predictor import Predictor
from modelyard_trainer.tasks.texts import pad
from tests.server.conftest import Server, complete
from tests.server.version import INFO, LABELS, PAD_ID, WORDS, write_version


@pytest.fixture
def folder(version: Path, tmp_path: Path) -> Path:
    return complete(Path(shutil.copytree(version, tmp_path / "models")))


def test_what_is_loaded(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    classifier = Predictor(load(folder))
    classifier.check()
    assert [row["label"] for row in classifier.predict(["so good", "bad"])] == ["positive", "negative"]


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "config.json"])
def test_a_changed_or_missing_file(folder: Path, name: str) -> None:
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[:-1] + b" ")
    with pytest.raises(Corrupt, match=f"{name} is not the file that was published"):
        load(folder)
    (folder / name).unlink()
    with pytest.raises(Corrupt, match=f"{name} is in the manifest but not on disk"):
        load(folder)


def test_half_a_fetch_is_never_served(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    with pytest.raises(Corrupt, match="the fetch did not end"):
        load(folder)
    (folder / "manifest.json").write_text("{")
    with pytest.raises(Corrupt, match="is not a manifest"):
        load(folder)


def test_a_task_of_a_newer_image(folder: Path) -> None:
    info = {**INFO, "task": "singing"}
    (folder / "manifest.json").write_bytes(describe(folder, "model", info).to_bytes())
    with pytest.raises(ValueError, match="not the task 'singing': use a newer image"):
        load(folder)


def test_the_manifest_lacks_what_a_server_needs(folder: Path) -> None:
    (folder / "manifest.json").write_bytes(describe(folder, "model", {"task": "text-classification"}).to_bytes())
    with pytest.raises(Corrupt, match="info is incomplete"):
        load(folder)


def test_a_model_that_answers_nonsense(tmp_path: Path) -> None:
    weights: np.ndarray = np.full((len(WORDS), len(LABELS)), np.nan, dtype=np.float32)
    classifier = Predictor(load(complete(write_version(tmp_path, weights))))
    with pytest.raises(ValueError, match="answers its own sample"):
        classifier.check()


def test_batches_answer_as_single_rows_do(folder: Path) -> None:
    loaded = load(folder)
    texts = [" ".join(["so"] * (n % 7) + ["good" if n % 3 else "bad"]) for n in range(50)]
    together, alone = Predictor(loaded, batch_rows=8).predict(texts), Predictor(loaded, batch_rows=1).predict(texts)
    for left, right in zip(together, alone, strict=True):
        assert left["label"] == right["label"]
        assert left["scores"] == pytest.approx(right["scores"], abs=1e-6)


def test_serving_encodes_as_training_does(folder: Path) -> None:
    codec = load(folder).codec
    ours = codec.batch(codec.read(["so good", "bad"]))
    encoded = pad([[list(WORDS).index(word) for word in text.split()] for text in ("so good", "bad")], PAD_ID)
    assert {name: array.tolist() for name, array in ours.items()} == {n: a.tolist() for n, a in encoded.items()}


def test_threads_do_not_disturb_each_other(folder: Path) -> None:
    classifier = Predictor(load(folder))
    texts = ["good " * (n % 15 + 1) + "so" for n in range(60)]
    expected = classifier.predict(texts)
    with ThreadPoolExecutor(8) as pool:
        assert all(found == expected for found in pool.map(classifier.predict, [texts] * 40))


@pytest.mark.parametrize(
    ("name", "told"), [("model.onnx", "model.onnx"), ("tokenizer.json", "the files beside the model")]
)
def test_a_published_file_that_cannot_be_loaded(folder: Path, name: str, told: str) -> None:
    (folder / name).write_bytes(b"nonsense")
    with pytest.raises(RuntimeError, match=f"cannot load {told}: .*train a new version"):
        load(complete(folder))


def test_the_server_ends_with_a_reason(tmp_path: Path, folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"nonsense")
    (tmp_path / "termination").touch()
    server = Server(tmp_path, complete(folder), {"MODELYARD_TERMINATION_LOG": str(tmp_path / "termination")})
    with pytest.raises(Exception, match="server"):
        server.start()
    process = server.process._process
    assert process is not None
    assert process.wait(10) == ExitCode.INTERNAL
    text = (tmp_path / "termination").read_text()
    assert '"stage":"serve"' in text
    assert "cannot load model.onnx" in text
    assert "Traceback" not in server.log()

"""Rows, codec and networks of image-classification, each network in torch and as ONNX."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from modelyard.api.dataset import Clean
from modelyard_trainer.graphs import onnx_graphs, torch_graphs, write_onnx
from modelyard_trainer.tasks import image_base
from modelyard_trainer.tasks.image_classification import learner, models, rows
from modelyard_trainer.tasks.image_classification.codec import ImageClassifier, load
from modelyard_trainer.tasks.protocols import Reading
from tests.trainer.pictures import classified

COLUMNS = {"image": "photo", "label": "kind"}
ROWS = classified(48)


@pytest.fixture(scope="module")
def codec() -> ImageClassifier:
    """Of pictures that are wider than high, and of another size than their rows are."""
    lens = image_base.lens_for([row["image"] for row in ROWS])
    return ImageClassifier(replace(lens, height=20, width=28), sorted({row["label"] for row in ROWS}))


def reading(codec: ImageClassifier, row: dict[str, Any]) -> Reading:
    (found,) = codec.read([rows.instance(row)])
    return found


def network(codec: ImageClassifier, architecture: str) -> Any:
    torch.manual_seed(3)
    return models.MADE[architecture](codec.lens, {"num_labels": len(codec.labels)})


def test_rows_hold_file_and_class() -> None:
    picture = ROWS[0]["image"]
    assert rows.fields({"photo": picture, "kind": 3}, COLUMNS) == {"image": picture, "label": "3"}
    assert rows.fields({"photo": None, "kind": "cat"}, COLUMNS) is None
    assert rows.fields({"photo": picture, "kind": " "}, COLUMNS) is None
    with pytest.raises(ValueError, match="column photo"):
        rows.fields({"photo": picture[:-30], "kind": "cat"}, COLUMNS)
    with pytest.raises(ValueError, match="column kind is a list"):
        rows.fields({"photo": picture, "kind": ["cat"]}, COLUMNS)


def test_rows_fit_their_schema_and_clean_touches_the_class_alone() -> None:
    import pyarrow as pa

    table = pa.Table.from_pylist(ROWS, schema=rows.schema())
    assert table.to_pylist() == [{"label": row["label"], "image": row["image"]} for row in ROWS]
    row = {"image": ROWS[0]["image"], "label": "\uff52\uff45\uff44 "}
    assert rows.cleaned(row, Clean(min_chars=9)) == {**row, "label": "red"}
    assert rows.cleaned({**row, "label": " "}, Clean()) == "empty"
    assert rows.relabelled({**row, "label": "Red"}, {"Red": "red"})["label"] == "red"
    assert rows.same(ROWS[0]) != rows.same(ROWS[1])
    assert rows.classes(ROWS[0]) == (ROWS[0]["label"],)


def test_a_version_reads_as_training_did(codec: ImageClassifier, tmp_path: Path) -> None:
    served = load(tmp_path, codec.save(tmp_path), codec.labels)
    for row in ROWS[:8]:
        sent = [rows.instance(row), codec.as_sent(rows.instance(row)), row["image"]]
        found = [one.inputs["pixels"] for one in served.read(sent)]
        assert all((one == reading(codec, row).inputs["pixels"]).all() for one in found)


@pytest.mark.parametrize("architecture", sorted(models.MADE))
def test_each_network_answers_alike_as_onnx(codec: ImageClassifier, architecture: str, tmp_path: Path) -> None:
    """On real and odd pictures, in batches of one and of many."""
    parts = learner.parts(network(codec, architecture).eval())
    write_onnx(parts, tmp_path)
    readings = codec.read([*(rows.instance(row) for row in ROWS), *codec.odd()])
    for batch in (readings, readings[:1], codec.extremes(readings)):
        expected = codec.answer(torch_graphs(parts), batch)
        found = codec.answer(onnx_graphs(tmp_path), batch)
        assert max(map(codec.difference, expected, found)) < 1e-4
        assert all(codec.same_answer(one, other, 2e-4) for one, other in zip(expected, found, strict=True))
        assert all(codec.finite(codec.decode(one, row)) for one, row in zip(found, batch, strict=True))


@pytest.mark.parametrize("architecture", ["cnn", "vit"])
def test_no_picture_changes_the_training_of_another(codec: ImageClassifier, architecture: str) -> None:
    """So the parts that a batch is computed in decide nothing; of batch statistics that is not so."""
    model = network(codec, architecture).train()
    model.apply(lambda module: module.eval() if isinstance(module, torch.nn.Dropout) else None)
    readings = [reading(codec, row) for row in ROWS[:6]]
    numbers = [learner.targets(codec, row, one) for row, one in zip(ROWS, readings, strict=False)]
    whole = model(**learner.collate(codec, readings, numbers)).logits
    parts = [model(**learner.collate(codec, readings[at : at + 2], numbers[at : at + 2])).logits for at in (0, 2, 4)]
    assert torch.allclose(whole, torch.cat(parts), atol=1e-5)


def test_a_change_follows_from_its_generator(codec: ImageClassifier) -> None:
    one = reading(codec, ROWS[0])
    assert learner.augmented(codec, one, 0, np.random.default_rng(1)) == (one, 0)
    codec.augment = "move"

    def seen(*numbers: int) -> bytes:
        return bytes(learner.augmented(codec, one, 0, np.random.default_rng(numbers))[0].inputs["pixels"].tobytes())

    torch.manual_seed(1)
    first = seen(7, 0, 5)
    torch.manual_seed(2)
    assert seen(7, 0, 5) == first
    assert len({first, seen(7, 1, 5), seen(8, 0, 5), seen(7, 0, 6)}) == 4


def test_a_network_learns_what_pixels_tell(codec: ImageClassifier) -> None:
    """Far above the commonest class, within seconds; the measure agrees with scikit-learn's."""
    from sklearn.metrics import accuracy_score, f1_score

    train, test = classified(240, seed=1), classified(90, seed=2)
    model = network(codec, "cnn").train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    readings = [reading(codec, row) for row in train]
    for step in range(120):
        chosen = np.random.default_rng(step).permutation(len(train))[:16]
        numbers = [learner.targets(codec, train[row], readings[row]) for row in chosen]
        model(**learner.collate(codec, [readings[row] for row in chosen], numbers)).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    read = codec.read([rows.instance(row) for row in test])
    outputs = codec.answer(torch_graphs(learner.parts(model)), read)
    answers = [codec.decode(output, one) for output, one in zip(outputs, read, strict=True)]
    values = codec.measure(answers, test).values
    truth, named = [row["label"] for row in test], [answer["label"] for answer in answers]
    assert abs(values["accuracy"] - accuracy_score(truth, named)) < 1e-6
    assert abs(values["macro_f1"] - f1_score(truth, named, average="macro")) < 1e-6
    assert values["accuracy"] > 0.9
    guessed = {
        name: codec.measure(guess(train, test), test).values["accuracy"]
        for name, guess in learner.baselines(codec).items()
    }
    assert guessed["majority"] < 0.5 < guessed["pixels_logistic_regression"]


def test_tensors_hold_what_the_answers_say(codec: ImageClassifier) -> None:
    answers = [codec.decode(np.array([0.0, 2.0, 1.0]), reading(codec, ROWS[0]))]
    values = codec.values(answers)
    assert {name: array.shape for name, array in values.items()} == {"label": (1,), "score": (1,), "scores": (1, 3)}
    assert values["label"][0] == codec.labels[1] == answers[0]["label"]
    assert [tensor.name for tensor in codec.tensors] == list(values)

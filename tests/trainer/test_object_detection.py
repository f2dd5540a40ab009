"""Rows, codec, network and measure of object-detection."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from modelyard_trainer.graphs import onnx_graphs, torch_graphs, write_onnx
from modelyard_trainer.tasks import images
from modelyard_trainer.tasks.object_detection import learner, rows
from modelyard_trainer.tasks.object_detection.boxes import corners, kept, overlaps
from modelyard_trainer.tasks.object_detection.codec import Detector, Places, load
from modelyard_trainer.tasks.object_detection.model import DenseConfig, DenseForObjectDetection, places
from modelyard_trainer.tasks.object_detection.precision import average_precisions
from tests.trainer.pictures import COLOURS, detected

COLUMNS = {"image": "photo", "objects": "found"}
ROWS = detected(24)
PHOTO = ROWS[0]["image"]


@pytest.fixture(scope="module")
def codec() -> Detector:
    return Detector(images.Lens(32, 32, "RGB", (0.5,) * 3, (0.25,) * 3), sorted(COLOURS))


def network(codec: Detector) -> DenseForObjectDetection:
    torch.manual_seed(3)
    config = DenseConfig(image_size=(32, 32), widths=(8, 16, 24, 24), num_labels=len(codec.labels))
    return DenseForObjectDetection(config)


@pytest.mark.parametrize(
    "written",
    [
        [{"box": [1, 2, 30.5, 4], "label": 7}],
        json.dumps([{"box": [1, 2, 30.5, 4], "label": "7"}]),
        {"bbox": [[1, 2, 30.5, 4]], "categories": [7]},
    ],
)
def test_objects_are_written_in_three_ways_and_cut_at_the_border(written: Any) -> None:
    row = rows.fields({"photo": PHOTO, "found": written}, COLUMNS)
    assert row == {"image": PHOTO, "objects": [{"box": [1.0, 2.0, 30.5, 4.0], "label": "7"}]}
    outside = rows.fields({"photo": PHOTO, "found": [{"box": [-4, 30, 10, 10], "label": "a"}]}, COLUMNS)
    assert outside is not None
    assert outside["objects"][0]["box"] == [0.0, 30.0, 6.0, 2.0]


def test_no_object_is_a_row_and_no_list_is_none() -> None:
    nothing: list[Any] = [[], "[]", {"bbox": [], "categories": []}]
    for empty in nothing:
        assert rows.fields({"photo": PHOTO, "found": empty}, COLUMNS) == {"image": PHOTO, "objects": []}
    for missing in (None, "", float("nan")):
        assert rows.fields({"photo": PHOTO, "found": missing}, COLUMNS) is None


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ([{"box": [1, 2, 0, 4], "label": "a"}], "object 1 has the box .* positive"),
        ([{"box": [1, 2, 3], "label": "a"}], "object 1 has the box"),
        ([{"box": [1, 2, 3, "wide"], "label": "a"}], "object 1 has the box"),
        ([{"box": [1, 2, float("nan"), 4], "label": "a"}], "positive numbers"),
        ([{"box": [1, 2, 3, 4], "label": "a"}, {"box": [99, 2, 3, 4], "label": "a"}], "object 2 .* outside"),
        ([{"box": [1, 2, 3, 4], "label": " "}], "empty label"),
        ([{"label": "a"}], "no box"),
        ([3], "no box"),
        ({"bbox": [[1, 2, 3, 4]], "categories": []}, "1 boxes and 0 classes"),
        ({"cat": 1}, "no bbox"),
        ("[{", "not JSON"),
        (7, "is int"),
    ],
)
def test_what_cannot_be_read_is_named(written: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"column found.*{message}|{message}"):
        rows.fields({"photo": PHOTO, "found": written}, COLUMNS)


def test_rows_fit_their_schema() -> None:
    import pyarrow as pa

    assert pa.Table.from_pylist(ROWS, schema=rows.schema()).to_pylist() == [
        {"image": row["image"], "objects": row["objects"]} for row in ROWS
    ]
    assert rows.classes(ROWS[0]) == ()
    assert rows.classes({"objects": [{"label": "b"}, {"label": "a"}, {"label": "b"}]}) == ("a", "b")


def test_boxes_come_back_in_pixels_of_the_picture(codec: Detector) -> None:
    """Whatever size and proportions it was sent in."""
    for width, height in ((32, 32), (640, 480), (30, 200), (1, 1)):
        picture = images.written(Image.new("RGB", (width, height), "red"))
        box = [width * 0.25, height * 0.5, width * 0.5, height * 0.25]
        row = {"image": picture, "objects": [{"box": box, "label": "blue"}]}
        (reading,) = codec.read([rows.instance(row)])
        target = learner.targets(codec, row, reading)
        logits: np.ndarray = np.full((16, 3), -9.0, dtype=np.float32)
        logits[5, 0] = 3.0
        (found,) = codec.decode(Places(logits, np.repeat(target.boxes, 16, axis=0)), reading)["objects"]
        assert found["label"] == "blue"
        assert np.allclose(found["box"], box, atol=0.02)


def test_of_boxes_that_overlap_the_best_of_each_class_is_kept() -> None:
    boxes = corners([[0, 0, 10, 10], [1, 0, 10, 10], [20, 0, 10, 10], [0, 1, 10, 10], [6, 0, 10, 10]])
    scores, classes = np.array([0.8, 0.9, 0.5, 0.7, 0.6]), np.array([0, 0, 0, 1, 0])
    assert kept(boxes, scores, classes, 0.5, 100).tolist() == [1, 3, 4, 2]
    assert kept(boxes, scores, classes, 0.5, 2).tolist() == [1, 3]
    assert overlaps(boxes[:1], boxes[1:3]).round(4).tolist() == [[0.8182, 0.0]]
    assert kept(boxes[:0], scores[:0], classes[:0], 0.5, 9).tolist() == []


def test_each_object_is_learnt_at_a_place_of_its_own(codec: Detector) -> None:
    spots = learner.middles(codec.lens)
    assert spots.tolist() == places(32, 32).tolist()
    assert spots[:2].tolist() == [[4, 4], [12, 4]]
    tiny = learner.Target(np.array([[0.0, 0, 20, 32], [13, 13, 14, 14]]), np.array([2, 1]))
    numbers, boxes = learner.per_place(tiny, spots)
    assert numbers.reshape(4, 4).tolist() == [[2, 2, -1, -1], [2, 1, -1, -1], [2, 2, -1, -1], [2, 2, -1, -1]]
    assert boxes[numbers == 1].tolist() == [[13, 13, 14, 14]]


def test_a_network_answers_alike_as_onnx(codec: Detector, tmp_path: Path) -> None:
    model = network(codec).eval()
    with torch.no_grad():
        model.classes.bias.fill_(0.0)  # so that there are boxes to compare
    parts = learner.parts(model)
    write_onnx(parts, tmp_path)
    readings = codec.read([*(rows.instance(row) for row in ROWS), *codec.odd()])
    for batch in (readings, readings[:1]):
        expected = codec.answer(torch_graphs(parts), batch)
        found = codec.answer(onnx_graphs(tmp_path), batch)
        assert max(map(codec.difference, expected, found)) < 1e-4
        assert all(codec.same_answer(one, other, 2e-4) for one, other in zip(expected, found, strict=True))
        answers = [codec.decode(one, row) for one, row in zip(found, batch, strict=True)]
        assert all(answer["objects"] and codec.finite(answer) for answer in answers)
        assert codec.values(answers)["box"].shape == (len(batch), 100, 4)
    served = load(tmp_path, codec.save(tmp_path), codec.labels)
    (again,) = served.read([codec.as_sent(rows.instance(ROWS[1]))])
    assert (again.inputs["pixels"] == readings[1].inputs["pixels"]).all()


def test_another_object_or_no_number_is_another_answer(codec: Detector) -> None:
    logits: np.ndarray = np.full((2, 3), -9.0, dtype=np.float32)
    logits[0, 1] = 2.0
    boxes = np.array([[0, 0, 10, 10], [20, 20, 30, 30]], dtype=np.float32)
    one = Places(logits, boxes)
    assert codec.same_answer(one, Places(logits + 1e-3, boxes), 1e-2)
    assert not codec.same_answer(one, Places(logits[:, ::-1].copy()[:, [0, 2, 1]], boxes), 1e-2)
    assert not codec.same_answer(one, Places(logits, boxes[::-1].copy()), 1e-2)
    broken = codec.decode(Places(logits * np.float32("nan"), boxes), codec.read([PHOTO])[0])
    assert not codec.finite(broken)


def case(seed: int, ties: bool) -> tuple[list[list[dict[str, Any]]], list[list[dict[str, Any]]]]:
    """Answers and truth of 40 pictures: near and far boxes, right and wrong classes, scores that are all about."""
    chance, labels = np.random.default_rng(seed), "abc"

    def box() -> list[float]:
        return [float(round(side)) for side in (*chance.uniform(0, 60, 2), *chance.uniform(8, 40, 2))]

    def label() -> str:
        return labels[int(chance.integers(3))]

    def score() -> float:
        return round(float(chance.random()), 1 if ties else 6)

    answers, truth = [], []
    for _ in range(40):
        wanted: list[dict[str, Any]] = [{"label": label(), "box": box()} for _ in range(int(chance.integers(0, 5)))]
        given = []
        for one in wanted:
            for _ in range(int(chance.integers(0, 3))):
                near = [round(float(side + chance.normal(0, 3)), 1) for side in one["box"]]
                near[2:] = [max(1.0, side) for side in near[2:]]
                name = one["label"] if chance.random() < 0.8 else label()
                given.append({"label": name, "score": score(), "box": near})
        given += [{"label": label(), "score": score(), "box": box()} for _ in range(int(chance.integers(0, 4)))]
        answers.append(given)
        truth.append(wanted)
    return answers, truth


BY_COCO = {
    (0, False): {"a": (0.055627, 0.154461), "b": (0.122584, 0.367168), "c": (0.061801, 0.220667)},
    (1, True): {"a": (0.04371, 0.10021), "b": (0.115946, 0.267544), "c": (0.077092, 0.172803)},
}
"""AP50:95 and AP50 of these cases by COCOeval of pycocotools 2.0.11."""


@pytest.mark.parametrize(("seed", "ties"), BY_COCO)
def test_average_precision_is_that_of_coco(seed: int, ties: bool) -> None:
    found = average_precisions(*case(seed, ties))
    figures = {label: (round(float(of.mean()), 6), round(float(of[0]), 6)) for label, of in found.items()}
    assert figures == BY_COCO[seed, ties]


def test_average_precision_by_hand(codec: Detector) -> None:
    """Two objects; the best answer is one of them, the next is nothing, the third is the other at an overlap of 0.6."""
    truth = [{"objects": [{"label": "red", "box": [0, 0, 10, 10]}, {"label": "red", "box": [50, 50, 10, 10]}]}]
    box = [[0, 0, 10, 10], [20, 20, 5, 5], [50, 52.5, 10, 10]]
    given = [{"label": "red", "score": 0.9 - 0.1 * at, "box": one} for at, one in enumerate(box)]
    metrics = codec.measure([{"objects": given}], truth)
    half, full = (51 * 1 + 50 * 2 / 3) / 101, 51 / 101
    assert abs(metrics.values["map_50"] - half) < 1e-6
    assert abs(metrics.values["map_50_95"] - (3 * half + 7 * full) / 10) < 1e-6
    assert codec.measure([{"objects": []}], truth).values == {"map_50_95": 0.0, "map_50": 0.0}
    perfect = [{**one, "score": 0.5} for one in truth[0]["objects"]]
    assert codec.measure([{"objects": perfect}], truth).values == {"map_50_95": 1.0, "map_50": 1.0}


def test_what_training_sees_of_a_row_moves_boxes_with_the_picture(codec: Detector) -> None:
    canvas: np.ndarray = np.zeros((32, 32, 3), dtype=np.uint8)
    canvas[10:20, 8:22] = 255
    row = {"image": images.written(Image.fromarray(canvas)), "objects": [{"label": "red", "box": [8, 10, 14, 10]}]}
    (reading,) = codec.read([rows.instance(row)])
    target = learner.targets(codec, row, reading)
    codec.augment = "move"
    for number in range(12):
        changed, moved = learner.augmented(codec, reading, target, np.random.default_rng([7, 0, number]))
        again, _ = learner.augmented(codec, reading, target, np.random.default_rng([7, 0, number]))
        assert (changed.inputs["pixels"] == again.inputs["pixels"]).all()
        bright = changed.inputs["pixels"].min(axis=0)
        y, x = np.nonzero(bright > bright.max() * 0.75)
        seen = np.array([[x.min(), y.min(), x.max() + 1, y.max() + 1]])
        assert overlaps(seen, moved.boxes)[0, 0] > 0.7, number


def test_a_network_learns_to_find_patches(codec: Detector) -> None:
    """Far above what the commonest class at the mean box finds."""
    train, test = detected(150, seed=1), detected(45, seed=2)
    model = network(codec).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    readings = codec.read([rows.instance(row) for row in train])
    targets = [learner.targets(codec, row, one) for row, one in zip(train, readings, strict=True)]
    for step in range(320):
        chosen = np.random.default_rng(step).permutation(len(train))[:16]
        inputs = learner.collate(codec, [readings[row] for row in chosen], [targets[row] for row in chosen])
        assert learner.items(inputs) == 16
        model(**inputs).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    read = codec.read([rows.instance(row) for row in test])
    outputs = codec.answer(torch_graphs(learner.parts(model)), read)
    answers = [codec.decode(output, one) for output, one in zip(outputs, read, strict=True)]
    assert codec.measure(answers, test).values["map_50"] > 0.5
    assert codec.measure(learner.mean_box(train, test), test).values["map_50"] < 0.2

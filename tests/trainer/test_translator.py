"""Generation by an encoder and a decoder: as the library's own, alike in torch and ONNX, and from rows to a version."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from modelyard.api.dataset import Clean
from modelyard_trainer.graphs import onnx_graphs, torch_graphs, write_onnx
from modelyard_trainer.run import TrainRun
from modelyard_trainer.tasks import seq2seq_scratch as scratch
from modelyard_trainer.tasks.protocols import Graph
from modelyard_trainer.tasks.seq2seq_codec import Ends, Generated
from modelyard_trainer.tasks.texts import TextReader, load_tokenizer
from modelyard_trainer.tasks.translation import learner, rows
from modelyard_trainer.tasks.translation.codec import Translator, load
from tests.trainer.translators import KINDS, pairs, write

COLUMNS = {"source": "en", "target": "de"}
EVERY = pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[pytest.mark.full] if kind == "bart" else []) for kind in sorted(KINDS)]
)


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {kind: write(kind, tmp_path_factory.mktemp(kind)) for kind in KINDS}


def codec_of(kind: str, folder: Path, most: int = 12) -> Translator:
    ends = Ends(KINDS[kind]["decoder_start_token_id"], [2], most)
    return Translator(TextReader(load_tokenizer(folder, 32), 1, 32, [Clean()]), ends)


def model_of(folder: Path, codec: Translator) -> Any:
    run = SimpleNamespace(base=folder, parent=None, part="", config=SimpleNamespace(base=SimpleNamespace(uri="")))
    model, new = learner.load_model(cast(TrainRun, run), codec)
    assert not new
    return model.eval()


@EVERY
def test_it_generates_as_the_library_does_and_as_onnx(kind: str, bases: dict[str, Path], tmp_path: Path) -> None:
    import torch

    codec = codec_of(kind, bases[kind])
    model = model_of(bases[kind], codec)
    read = codec.read([{"text": row["source"]} for row in pairs(12)])
    graphs = torch_graphs(learner.parts(model))
    found = codec.answer(graphs, read)
    inputs = {name: torch.from_numpy(value) for name, value in codec.batch(read).items()}
    settings = {"num_beams": 1, "do_sample": False, "bad_words_ids": [[1]], "max_new_tokens": 12}
    for mine, ids in zip(found, model.generate(**inputs, **settings, forced_eos_token_id=None).tolist(), strict=True):
        theirs = [token for token in ids[1:] if token != 1]
        assert mine.ids.tolist() == theirs
    alone = [codec.answer(graphs, [reading])[0] for reading in read]
    assert max(map(codec.difference, found, alone)) < 1e-5
    write_onnx(learner.parts(model), tmp_path)
    assert {path.name for path in tmp_path.glob("*.onnx")} == {"encoder.onnx", "decoder.onnx"}
    served = codec.answer(onnx_graphs(tmp_path), read)
    assert max(map(codec.difference, found, served)) < 1e-4
    assert all(codec.same_answer(one, other, 1e-4) for one, other in zip(found, served, strict=True))
    for reading in codec.read(codec.odd()):
        assert codec.finite(codec.decode(codec.answer(onnx_graphs(tmp_path), [reading])[0], reading))


def scripted(answers: list[list[int]], tokens: int) -> dict[str, Graph]:
    """Graphs of a model that gives these tokens, each twice as likely as all others together."""
    share = math.log(2 * (tokens - 1))

    def decoder(arrays: Any) -> Any:
        step = arrays["decoder_input_ids"].shape[1] - 1
        logits: np.ndarray = np.zeros((len(arrays["hidden"]), tokens), dtype=np.float32)
        for row, number in zip(logits, arrays["hidden"][:, 0, 0].astype(int), strict=True):
            row[answers[number][step]] = share
        return {"logits": logits}

    return {
        "encoder": lambda arrays: {"hidden": np.arange(len(arrays["input_ids"]), dtype=np.float32)[:, None, None]},
        "decoder": decoder,
    }


def test_each_row_ends_where_it_ends(bases: dict[str, Path]) -> None:
    codec = codec_of("bart", bases["bart"], most=4)
    answers = [[5, 2], [5, 6, 7, 8], [2], [5, 6, 7, 2]]
    read = codec.read([{"text": "day"}] * len(answers))
    found = codec.answer(scripted(answers, codec.reader.tokenizer.get_vocab_size()), read)
    assert [one.ids.tolist() for one in found] == answers
    assert all(codec.decode(one, read[0])["score"] == pytest.approx(2 / 3, abs=1e-4) for one in found)


def test_the_token_that_fills_rows_is_never_said(bases: dict[str, Path]) -> None:
    codec = codec_of("bart", bases["bart"], most=2)
    [found] = codec.answer(scripted([[1, 1]], codec.reader.tokenizer.get_vocab_size()), codec.read(["day"]))
    assert 1 not in found.ids


def test_no_number_is_seen(bases: dict[str, Path]) -> None:
    codec = codec_of("bart", bases["bart"], most=2)
    graphs = scripted([[5, 6]], codec.reader.tokenizer.get_vocab_size())
    broken = {**graphs, "decoder": lambda arrays: {"logits": graphs["decoder"](arrays)["logits"] * np.nan}}
    [reading] = codec.read(["day"])
    assert not codec.finite(codec.decode(codec.answer(broken, [reading])[0], reading))


def generated(ids: list[int], leads: list[float]) -> Generated:
    return Generated(np.array(ids), np.full(len(ids), -0.5, np.float32), np.array(leads, np.float32))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (generated([5, 2], [1, 1]), generated([5, 2], [1, 1]), True),
        (generated([5, 6, 2], [1, 1e-5, 1]), generated([5, 7, 2], [1, 1, 1]), True),
        (generated([5, 6, 2], [1, 1, 1]), generated([5, 7, 2], [1, 1, 1]), False),
        (generated([5, 6], [1, 1]), generated([5, 6, 2], [1, 1, 1]), False),
        (generated([5, 6, 2], [1, 1, 1]), generated([5, 6], [1, 1]), False),
    ],
)
def test_what_is_the_same_answer(one: Generated, other: Generated, same: bool, bases: dict[str, Path]) -> None:
    assert codec_of("bart", bases["bart"]).same_answer(one, other, 1e-4) is same


def test_targets_end_where_answers_end(bases: dict[str, Path]) -> None:
    codec = codec_of("t5", bases["t5"], most=5)
    short, long = codec.target_ids("day"), codec.target_ids(" ".join(["day"] * 20))
    assert short[-1] == long[-1] == 2
    assert len(long) == 5
    bare = Translator(codec.reader, Ends(1, [3], 9))  # a tokenizer that puts another token at the end
    assert bare.target_ids("day") == [*short, 3]


def test_padding_counts_for_nothing(bases: dict[str, Path]) -> None:
    import torch

    codec = codec_of("marian", bases["marian"])
    model = model_of(bases["marian"], codec)
    some = pairs(6)
    read = codec.read([rows.instance(row) for row in some])
    targets = [learner.targets(codec, row, reading) for row, reading in zip(some, read, strict=True)]
    inputs = learner.collate(codec, read, targets)
    assert learner.items(inputs) == sum(map(len, targets))
    with torch.inference_mode():
        together, _ = learner.judged(model, inputs, codec, read)
        parts = [learner.collate(codec, [reading], [ids]) for reading, ids in zip(read, targets, strict=True)]
        alone = [learner.judged(model, part, codec, [reading])[0] for part, reading in zip(parts, read, strict=True)]
    weighted = sum(loss * len(ids) for loss, ids in zip(alone, targets, strict=True)) / learner.items(inputs)
    assert together == pytest.approx(weighted, rel=1e-5)


def test_copied_rows_are_read_as_their_translation(bases: dict[str, Path]) -> None:
    codec = codec_of("marian", bases["marian"])
    codec.copied = 0.5
    [reading] = codec.read(["day"])
    target = learner.targets(codec, {"target": "yado"}, reading)
    draws = [learner.augmented(codec, reading, target, np.random.default_rng(seed))[0] for seed in range(40)]
    copied = [found for found in draws if found is not reading]
    assert 10 < len(copied) < 30
    assert all(found.inputs["input_ids"].tolist() == target.tolist() for found in copied)


def test_a_version_reads_and_ends_as_its_training_did(bases: dict[str, Path], tmp_path: Path) -> None:
    codec = codec_of("bart", bases["bart"])
    again = load(tmp_path, json.loads(json.dumps(codec.save(tmp_path))), [])
    assert again.ends == codec.ends
    for instance in ({"text": "wow so good"}, *codec.odd()):
        [one], [other] = codec.read([instance]), again.read([codec.as_sent(instance)])
        assert one.inputs["input_ids"].tolist() == other.inputs["input_ids"].tolist()


def test_a_tokenizer_follows_from_the_rows_alone() -> None:
    texts = [text for row in pairs(200) for text in row.values()]
    one, other = scratch.tokenizer(texts), scratch.tokenizer(texts)
    assert one.to_str() == other.to_str()
    for text in (*texts[:20], "naïve 日本 \U0001f600", "a  b"):
        assert one.decode(one.encode(text).ids, skip_special_tokens=True).strip() == text


def chrf2(found: list[str], wanted: list[str]) -> float:
    """chrF2 of Popović (2015) over all rows: mean of the F2 of character groups of one to six."""
    scores = []
    for size in range(1, 7):
        both = made = there = 0
        for one, other in zip(found, wanted, strict=True):
            groups = [
                Counter(text[at : at + size] for at in range(len(text) - size + 1))
                for text in ("".join(one.split()), "".join(other.split()))
            ]
            both += (groups[0] & groups[1]).total()
            made, there = made + groups[0].total(), there + groups[1].total()
        precision, recall = both / made if made else 0.0, both / there if there else 0.0
        if made and there:
            scores.append(5 * precision * recall / (4 * precision + recall) if precision + recall else 0.0)
    return 100 * sum(scores) / len(scores)


def test_chrf_is_that_of_its_paper(bases: dict[str, Path]) -> None:
    some = pairs(50)
    answers = [{"text": row["source"]} for row in some]
    found = codec_of("bart", bases["bart"]).measure(answers, some)
    wanted = chrf2([row["source"] for row in some], [row["target"] for row in some])
    assert found.values["chrf"] == pytest.approx(wanted, abs=0.01)
    half = [{"text": row["target" if at % 2 else "source"]} for at, row in enumerate(some)]
    assert 0 < codec_of("bart", bases["bart"]).measure(half, some).values["bleu"] < 100
    perfect = codec_of("bart", bases["bart"]).measure([{"text": row["target"]} for row in some], some)
    assert perfect.values == {"chrf": 100.0, "bleu": pytest.approx(100.0)}


def test_rows() -> None:
    assert rows.fields({"en": "a", "de": "b"}, COLUMNS) == {"source": "a", "target": "b"}
    assert rows.fields({"en": " ", "de": "b"}, COLUMNS) is None
    assert rows.fields({"en": "a"}, COLUMNS) is None
    with pytest.raises(ValueError, match="column de is a list"):
        rows.fields({"en": "a", "de": ["b"]}, COLUMNS)
    row = {"source": " \uff21", "target": "b "}
    assert rows.cleaned(row, Clean()) == {"source": "A", "target": "b"}
    assert rows.cleaned({"source": "a", "target": "\u3000"}, Clean()) == "empty"
    assert rows.cleaned({"source": "a", "target": "b"}, Clean(min_chars=2)) == "short"
    assert rows.same({"source": "A  b"}) == rows.same({"source": "a b"})


def test_baselines() -> None:
    some = pairs(10)
    assert [answer["text"] for answer in learner.copied([], some)] == [row["source"] for row in some]
    train = [{"source": "a", "target": "x"}, {"source": "b", "target": "y"}, {"source": "c", "target": "y"}]
    assert learner.commonest_target(train, some) == [{"text": "y"}] * 10

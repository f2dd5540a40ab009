"""What the model reads of rows: read once, kept in files, never believed when half or of something else."""

from __future__ import annotations

import json
import os
import signal
import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelyard.api import layout
from modelyard.api.dataset import Clean
from modelyard.api.run import ExitCode, TrainConfig
from modelyard_trainer.data import readings
from modelyard_trainer.data.mapped import MappedRows, unpacked
from modelyard_trainer.data.readings import Anew, Kept, Reader, Readings, Saved, kept
from modelyard_trainer.data.shards import Shards
from modelyard_trainer.run import TrainRun
from modelyard_trainer.stages import load
from modelyard_trainer.tasks import learner_of, rows_of
from modelyard_trainer.tasks import seq2seq_scratch as scratch
from modelyard_trainer.tasks.image_classification.codec import ImageClassifier
from modelyard_trainer.tasks.images import Lens
from modelyard_trainer.tasks.multi_label_classification.codec import Labeller
from modelyard_trainer.tasks.protocols import Codec, Fields, KeepingCodec, Reading
from modelyard_trainer.tasks.question_answering import rows as questions
from modelyard_trainer.tasks.question_answering.codec import Answerer, Settings
from modelyard_trainer.tasks.seq2seq_codec import Ends, Rewriter
from modelyard_trainer.tasks.summarization.codec import Summarizer
from modelyard_trainer.tasks.text_classification.codec import TextClassifier
from modelyard_trainer.tasks.texts import TextReader, load_tokenizer
from modelyard_trainer.tasks.token_classification.codec import Tagger
from modelyard_trainer.tasks.translation.codec import Translator
from tests.trainer.harness import BUCKET, TrainerHarness
from tests.trainer.labelled import labelled_rows
from tests.trainer.pictures import classified
from tests.trainer.questions import question_rows
from tests.trainer.tagged import tagged_rows
from tests.trainer.tinybase import write_tokenizer
from tests.trainer.translators import pairs
from tests.trainer.words import rows

CHUNK, PIECE = 16, 48
ODD = ["[SEP] great [CLS] bad", "\uff47\uff52\uff45\uff41\uff54 \ufb01ne", "great " * 60, "nothing 漢字"]


@pytest.fixture(autouse=True)
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readings, "CHUNK", CHUNK)
    monkeypatch.setattr(readings, "PIECE", PIECE)


def text_reader(folder: Path, length: int = 16) -> TextReader:
    folder.mkdir(exist_ok=True)
    write_tokenizer(folder)
    tokenizer = load_tokenizer(folder, length)
    tokenizer.no_padding()
    return TextReader(tokenizer, 0, length, [Clean()])


def classifier(folder: Path) -> tuple[KeepingCodec, list[Fields]]:
    found = [*({"label": "good", "text": text} for text in ODD), *({**row} for row in rows(150))]
    return TextClassifier(text_reader(folder), sorted({row["label"] for row in found})), found


def labeller(folder: Path) -> tuple[KeepingCodec, list[Fields]]:
    found = [*({"labels": [], "text": text} for text in ODD), *({**row} for row in labelled_rows(150))]
    return Labeller(text_reader(folder), ["bad", "good", "plain"]), found


def tagger(folder: Path) -> tuple[KeepingCodec, list[Fields]]:
    odd = {"tags": ["O", "B-PER"], "tokens": ["[SEP]", "\u200b"]}
    return Tagger(text_reader(folder), ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]), [odd, *tagged_rows(150)]


def writer(folder: Path, made: type[Rewriter]) -> tuple[KeepingCodec, list[Fields]]:
    found = [(text, text) for text in ODD] + [(row["source"], row["target"]) for row in pairs(150)]
    folder.mkdir(exist_ok=True)
    scratch.tokenizer(text for text, _ in found).save(str(folder / "tokenizer.json"))
    tokenizer = load_tokenizer(folder, 24)
    pad, end = tokenizer.token_to_id(scratch.PAD), tokenizer.token_to_id(scratch.END)
    codec = made(TextReader(tokenizer, pad, 24, []), Ends(pad, [end], 12), made.copies)
    return codec, [{made.source: text, made.target: other} for text, other in found]


def answerer(folder: Path) -> tuple[KeepingCodec, list[Fields]]:
    columns = {name: name for name in ("question", "context", "answers")}
    long = question_rows(30, seed=1, words=(20, 60))
    found = [questions.fields(row, columns) for row in [*question_rows(120), *long]]
    odd = [{"question": text, "context": other, "answers": []} for text, other in zip(ODD, ODD[::-1], strict=True)]
    rows = [*odd, *(row for row in found if isinstance(row, dict))]
    return Answerer(text_reader(folder), Settings(4, True)), rows


MADE: dict[str, Callable[[Path], tuple[KeepingCodec, list[Fields]]]] = {
    "text-classification": classifier,
    "multi-label-classification": labeller,
    "token-classification": tagger,
    "translation": lambda folder: writer(folder, Translator),
    "summarization": lambda folder: writer(folder, Summarizer),
    "question-answering": answerer,
}


def mapped(folder: Path, task: str, found: list[Fields]) -> dict[str, MappedRows]:
    """Three of four rows to learn from."""
    folder.mkdir()
    schema = rows_of(task).schema()
    shards = Shards(folder, schema, [], 4000)
    for number, row in enumerate(found):
        shards.add("test" if number % 4 == 3 else "train", row)
    shards.close()
    return {split: unpacked(sorted(folder.glob(f"{split}-*.parquet")), schema) for split in ("train", "test")}


class Case:
    """Rows of a task, and the folder of what is read of them."""

    def __init__(self, task: str, folder: Path) -> None:
        self.task, self.folder = task, folder
        self.codec, found = MADE[task](folder / "made")
        self.rows = mapped(folder / "rows", task, found)
        self.kept = folder / "read"
        self.kept.mkdir()

    def read(
        self, known_as: str = "rows", processes: int = 1, check: Callable[[], None] = lambda: None
    ) -> dict[str, Kept]:
        folder = self.folder / "codec"
        folder.mkdir(exist_ok=True)
        saved = Saved(folder, self.codec.save(folder), self.codec.labels)
        return kept(Reader(self.task, self.codec, self.rows), saved, known_as, self.kept, processes, check)

    def files(self) -> dict[str, int]:
        """Name and time of writing."""
        return {path.name: path.stat().st_mtime_ns for path in self.kept.iterdir()}


@pytest.fixture(params=list(MADE))
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    return Case(request.param, tmp_path)


@pytest.fixture
def texts(tmp_path: Path) -> Case:
    return Case("text-classification", tmp_path)


def same(one: Any, other: Any) -> bool:
    """Equal, whatever the width of numbers."""
    if isinstance(one, Reading):
        return all(same(getattr(one, name), getattr(other, name)) for name in ("inputs", "size", "cut"))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(value, other[name]) for name, value in one.items())
    return bool(np.array_equal(one, other))


@pytest.mark.parametrize(
    ("task", "processes"), [*((task, 1) for task in MADE), ("text-classification", 2), ("translation", 2)]
)
def test_what_is_kept_is_what_the_codec_reads(
    task: str, processes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Case(task, tmp_path)
    monkeypatch.setattr(readings, "WORTH_PROCESSES", 0)
    instance, learner = rows_of(case.task).instance, learner_of(case.task)
    for split, found in case.read(processes=processes).items():
        rows, wanted = list(case.rows[split]), case.codec.read([instance(row) for row in case.rows[split]])
        assert len(found) == len(rows) == len(wanted) > PIECE - CHUNK
        assert all(map(same, found, wanted))
        assert found.sizes.tolist() == [reading.size for reading in wanted]
        assert found.cut == sum(reading.cut for reading in wanted)
        assert same(found[-1], wanted[-1]) and all(map(same, found[3:40:7], wanted[3:40:7]))
        for row, one, other in zip(rows, found, wanted, strict=True):
            assert same(learner.targets(case.codec, row, one), learner.targets(case.codec, row, other))
    if case.task == "token-classification":
        assert found[0].kept.asked == wanted[0].kept.asked
        output = np.random.default_rng(0).normal(size=(len(found[1].kept.read), len(case.codec.labels)))
        answer = case.codec.decode(output, found[1])
        assert answer["entities"] and answer == case.codec.decode(output, wanted[1])


def test_something_is_cut(case: Case) -> None:
    if case.task != "token-classification":
        assert sum(found.cut for found in case.read().values()) > 0


def test_nothing_is_read_twice(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    first = case.read()
    files = case.files()
    assert len(files) == sum(-(-len(rows) // PIECE) for rows in case.rows.values())
    monkeypatch.setattr(case.codec, "read", None)
    again = case.read()
    assert case.files() == files
    assert all(map(same, again["train"], first["train"]))


def test_what_was_read_otherwise_is_not_taken(texts: Case, tmp_path: Path) -> None:
    texts.read()
    files = texts.files()
    texts.read(known_as="other rows, or another image")
    assert not files.keys() & texts.files().keys()
    texts.read()
    assert files.keys() == texts.files().keys()
    texts.codec = TextClassifier(text_reader(tmp_path / "shorter", length=5), texts.codec.labels)
    found = texts.read()
    assert not files.keys() & texts.files().keys()
    assert found["train"].sizes.max() == 5


def test_a_killed_process_leaves_whole_files_alone(texts: Case) -> None:
    """In its second file, with two of three chunks written: the next one goes on there."""
    asked: list[int] = []

    def killing() -> None:
        asked.append(1)
        if len(asked) > 5:
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        texts.read(check=killing)
        os._exit(0)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    [half] = texts.kept.glob("*.half")
    [whole] = texts.kept.glob("*.arrow")
    written = whole.stat().st_mtime_ns
    instance = rows_of(texts.task).instance
    for split, found in texts.read().items():
        assert all(map(same, found, texts.codec.read([instance(row) for row in texts.rows[split]])))
    assert not half.exists()
    assert whole.stat().st_mtime_ns == written


@pytest.mark.parametrize("left", [0, 8, 0.5, 0.99])
def test_a_file_that_is_not_whole_is_read_again(texts: Case, left: float) -> None:
    texts.read()
    victim = sorted(texts.kept.iterdir())[0]
    data = victim.read_bytes()
    victim.unlink()
    victim.write_bytes(data[: int(left if left > 1 else left * len(data))])
    texts.read()
    assert victim.read_bytes() == data


def test_what_ends_the_run_ends_the_reading(texts: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readings, "WORTH_PROCESSES", 0)

    def ending() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        texts.read(processes=2, check=ending)


def test_memory_does_not_grow_with_rows(texts: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    count = 12_000
    many = [{"label": "good", "text": f"so good {number}"} for number in range(count)]
    texts.rows = mapped(tmp_path / "many", texts.task, many)
    texts.read()
    tracemalloc.start()
    found = texts.read()
    seen = sum(reading.size for split in found.values() for reading in split)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seen == sum(int(split.sizes.sum()) for split in found.values())
    assert held < 20 * count


def test_pictures_stay_in_their_shards(tmp_path: Path) -> None:
    rows = mapped(tmp_path / "rows", "image-classification", classified(12))
    lens = Lens(8, 12, "RGB", (0.5,) * 3, (0.2,) * 3)
    codec = ImageClassifier(lens, ["blue", "green", "red"])
    found, instance = Anew(codec, rows["train"], "image-classification"), rows_of("image-classification").instance
    wanted = codec.read([instance(row) for row in rows["train"]])
    assert all(map(same, found, wanted))
    assert [one.kept for one in found] == [one.kept for one in wanted]
    assert found.sizes.tolist() == [one.size for one in wanted] == [1] * 9
    assert found.cut == 0


class InMemory(Readings):
    """The straightforward way: all of it at once."""

    def __init__(self, codec: Codec, rows: MappedRows, task: str) -> None:
        super().__init__(codec, rows, task)
        self._read = codec.read([self._instance(row) for row in rows])
        self.sizes = np.array([reading.size for reading in self._read])
        self.cut = sum(reading.cut for reading in self._read)

    def _reading(self, row: int) -> Reading:
        return self._read[row]


def losses(harness: TrainerHarness, config: TrainConfig) -> list[dict[str, Any]]:
    """What the history says of a run, but for times."""
    code, outcome = harness.run(config)
    assert code == ExitCode.PUBLISHED, outcome.message
    lines = harness.store.get(BUCKET, layout.history_key(config.prefix)).decode().splitlines()
    kinds = ("step", "loss", "validation_loss", "grad_norm")
    found = [{name: line[name] for name in kinds if name in line} for line in map(json.loads, lines)]
    assert sum("loss" in line for line in found) > 5 and any("validation_loss" in line for line in found)
    return [*found, {metrics.set_: metrics.values for metrics in harness.report(config).metrics}]


def straight(run: TrainRun, processes: int) -> Mapping[str, Readings]:
    return {split: InMemory(run.codec, rows, run.config.task) for split, rows in run.rows.items()}


@pytest.mark.parametrize("task", ["text-classification", "token-classification", "translation"])
def test_a_run_learns_the_same(
    harness: TrainerHarness, base: dict[str, str], task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources: dict[str, list[dict[str, Any]]] = {"token-classification": tagged_rows(200), "translation": pairs(200)}
    lines = "".join(json.dumps(row) + "\n" for row in sources.get(task, rows(200))).encode()
    uri = harness.put(f"raw/readings-{task}.jsonl", lines)
    prepared = harness.prepare_config(f"readings-{task}", {"s3": {"uri": uri}}, task=task)
    code, outcome = harness.run(prepared)
    assert code == ExitCode.PUBLISHED, outcome
    digest = json.loads(harness.store.get(BUCKET, layout.manifest_key(prepared.prefix)))["info"]["digest"]
    data = {"prefix": prepared.prefix, "digest": digest}
    changes: dict[str, Any] = {"scratch": "transformer"} if task == "translation" else {}

    def learned(name: str) -> list[dict[str, Any]]:
        start = None if changes else base
        return losses(harness, harness.train_config(name, start, data, task=task, export=["safetensors"], **changes))

    kept_ = learned(f"kept-{task}")
    monkeypatch.setattr(load, "read", straight)
    assert learned(f"straight-{task}") == kept_

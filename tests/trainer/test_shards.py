"""Prepared rows as shards: typed, the same bytes for the same rows, mapped by the trainer, never all in memory."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from dev.bench.prepare_rows import write_rows
from modelyard.api.dataset import Clean
from modelyard_trainer.data import shards
from modelyard_trainer.data.mapped import MappedRows, unpacked
from modelyard_trainer.data.rows import SPLITS, Digest
from modelyard_trainer.data.shards import Shards, shard_name, shards_of

Fields = dict[str, Any]


def schema() -> Any:
    import pyarrow as pa

    box = pa.struct([("box", pa.list_(pa.float32())), ("label", pa.string())])
    return pa.schema([("image", pa.binary()), ("objects", pa.list_(box))])


def rows(count: int) -> list[Fields]:
    return [
        {"image": bytes([number % 251]) * 100, "objects": [{"box": [0.1, number, 3, 4], "label": "x"}] * (number % 3)}
        for number in range(count)
    ]


def write(folder: Path, found: Sequence[Fields], shard_bytes: int = 1 << 20) -> str:
    folder.mkdir()
    written = Shards(folder, schema(), [Clean()], shard_bytes)
    for number, row in enumerate(found):
        written.add(SPLITS[number % 3], row)
    return written.close()


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def read(folder: Path) -> dict[str, MappedRows]:
    names = shards_of(path.name for path in folder.iterdir())
    return {split: unpacked([folder / name for name in names[split]], schema()) for split in SPLITS}


def test_what_was_written_is_read(tmp_path: Path) -> None:
    digest, wanted = write(tmp_path / "a", rows(301)), rows(301)
    found = read(tmp_path / "a")
    assert [len(found[split]) for split in SPLITS] == [101, 100, 100]
    again = Digest([Clean()])
    for at, split in enumerate(SPLITS):
        part = found[split]
        whole = list(part)
        assert [row["image"] for row in whole] == [row["image"] for row in wanted[at::3]]
        assert whole[2]["objects"][0]["box"] == pytest.approx([0.1, 6 + at, 3, 4]) if at != 0 else True
        assert [part[number] for number in range(len(part))] == whole == part[:] and part[-1] == whole[-1]
        again.add(split, part)
    assert str(again) == digest
    with pytest.raises(IndexError):
        found["test"][100]


def test_the_same_rows_give_the_same_files(tmp_path: Path) -> None:
    assert write(tmp_path / "a", rows(500)) == write(tmp_path / "b", rows(500))
    assert hashes(tmp_path / "a") == hashes(tmp_path / "b")


def test_the_digest_is_of_rows_not_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards of another size, groups of another size: other files of the same rows."""
    few = write(tmp_path / "b", rows(900))
    monkeypatch.setattr(shards, "GROUP_ROWS", 70)
    many = write(tmp_path / "a", rows(900), 1 << 14)
    assert many == few
    assert len(hashes(tmp_path / "a")) > len(hashes(tmp_path / "b")) == 3
    assert list(read(tmp_path / "a")["test"]) == list(read(tmp_path / "b")["test"])
    assert write(tmp_path / "c", rows(900)[::-1]) != many


def test_shards_and_what_is_in_memory_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyarrow import parquet

    sizes = [1000] * 600 + [1 << 20] * 60
    monkeypatch.setattr(shards, "GROUP_ROWS", 100)
    write(tmp_path / "a", [{"image": os.urandom(size), "objects": []} for size in sizes], 10 << 20)
    for path in (tmp_path / "a").iterdir():
        file = parquet.ParquetFile(path)
        groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
        assert all(group.num_rows <= 100 and group.total_byte_size < 9 << 20 for group in groups)
        assert sum(group.total_byte_size for group in groups) < 11 << 20


def test_each_process_maps_for_itself(tmp_path: Path) -> None:
    """As workers of a DataLoader do."""
    write(tmp_path / "a", rows(300))
    found = read(tmp_path / "a")["train"]
    data = pickle.dumps(found)
    assert len(data) < 1000
    command = [sys.executable, "-c", "import pickle, sys; print(pickle.load(sys.stdin.buffer)[70]['image'][0])"]
    assert int(subprocess.check_output(command, input=data)) == found[70]["image"][0]


def test_looking_at_a_few_rows_needs_no_memory_for_all(tmp_path: Path) -> None:
    """20 MB of each split on disk, 100 rows looked at under a limit of 10 MB more than the process has."""
    write(tmp_path / "a", [{"image": os.urandom(1 << 20), "objects": []}] * 60)
    script = f"""
import random, re, resource
from pathlib import Path
from tests.trainer.test_shards import read
found = read(Path({str(tmp_path / "a")!r}))["train"]
before = int(re.search(r"VmData:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) << 10
resource.setrlimit(resource.RLIMIT_DATA, (before + (10 << 20),) * 2)
print(sum(len(found[random.randrange(len(found))]["image"]) for _ in range(100)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout == f"{100 << 20}\n", done.stderr


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["train-00001.parquet"], "train-00000.parquet is missing"),
        (["train-00000.parquet", "train-00002.parquet"], "train-00001.parquet is missing"),
        (["train-00000.parquet", "notes.txt"], "notes.txt is none of its files"),
    ],
)
def test_a_shard_that_is_missing_is_named(names: list[str], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        shards_of(names)


def test_files_that_hold_something_else(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    path = tmp_path / shard_name("train", 0)
    path.write_bytes(b"PAR1 and nothing more")
    with pytest.raises(ValueError):
        unpacked([path], schema())
    parquet.write_table(pa.table({"text": ["a"], "label": ["b"]}), path)
    with pytest.raises(ValueError, match=r"train-00000\.parquet has the columns text"):
        unpacked([path], schema())
    write(tmp_path / "a", rows(30))
    whole = (tmp_path / "a" / path.name).read_bytes()
    (tmp_path / "a" / path.name).write_bytes(whole[:-20])
    with pytest.raises(ValueError):
        unpacked([tmp_path / "a" / path.name], schema())


PREPARE = """
import json, sys
from pathlib import Path
from dev.bench import prepare_rows
from modelyard_trainer.stages import prepare
folder = Path(sys.argv[1])
run = prepare_rows._run(folder, folder / "rows.jsonl")
prepare.execute(run)
print(json.dumps(run.publication.info))
"""


def prepare(folder: Path, limit: int = 0) -> subprocess.CompletedProcess[str]:
    """The stage in a process of its own, with at most `limit` bytes of memory of its own."""

    def limited() -> None:
        if limit:
            resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))

    command = [sys.executable, "-c", PREPARE, str(folder)]
    environment = {**os.environ, "ARROW_DEFAULT_MEMORY_POOL": "system"}  # the other pools reserve much and use little
    return subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=limited, env=environment)


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    """300,000 rows in a process that may have 240 MB, of which libraries take 110; all at once, they took 300."""
    write_rows(tmp_path / "rows.jsonl", 300_000)
    done = prepare(tmp_path, 240 << 20)
    assert done.returncode == 0, done.stderr[-2000:]
    info = json.loads(done.stdout)
    assert sum(info["rows"].values()) + sum(info["removed"].values()) == 300_000
    assert info["removed"]["duplicate"] > 9_000 and info["removed"]["conflicting"] > 3_000
    assert not any((tmp_path / "scratch").rglob("*.*")), "scratch is given back"


def test_killed_in_the_middle_and_run_again(tmp_path: Path) -> None:
    """What the first process left, in scratch and among the shards, is in no file of the second."""
    fresh, broken = tmp_path / "fresh", tmp_path / "broken"
    for folder in (fresh, broken):
        folder.mkdir()
        write_rows(folder / "rows.jsonl", 30_000)
    wanted = prepare(fresh)
    (broken / "prepared").mkdir()
    (broken / "prepared" / shard_name("train", 7)).write_bytes(b"of a source that was larger")
    process = subprocess.Popen([sys.executable, "-c", PREPARE.replace("prepare.execute", SMALL), str(broken)])
    deadline = time.monotonic() + 120
    while not any(broken.glob("scratch/2/*")) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert any(broken.glob("scratch/*/*"))
    done = prepare(broken)
    assert done.returncode == 0 and json.loads(done.stdout) == json.loads(wanted.stdout)
    assert hashes(broken / "prepared") == hashes(fresh / "prepared")


SMALL = "from modelyard_trainer.data import spill; spill.MEMORY = 1 << 20; prepare.execute"

"""Hostile model folders through the real loader: nothing in them is ever executed, and the message names the file.

Each payload would create a canary file when it is unpickled, imported or rendered.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from modelyard import names
from modelyard.api import layout
from modelyard.api.run import ExitCode, FileEntry, Manifest, digest_of
from modelyard.storage.publish import describe, publish
from modelyard_trainer.checkpoints import Place, newest
from modelyard_trainer.command import make_run
from modelyard_trainer.errors import TrainerError
from modelyard_trainer.run import TrainRun
from modelyard_trainer.safe import check_folder
from modelyard_trainer.stages import fetch, load
from modelyard_trainer.stopping import Stop
from tests.trainer.yard import BUCKET, Yard, environment

Spoil = Callable[[Path, Path], None]
PICKLES = ("pytorch_model.bin", "training_args.bin", "optimizer.pt", "weights.pkl", "model.joblib", "a.npy")
OUTSIDE = ("../../evil.json", "/etc/evil.json", "a/../../evil.json", "evil.pkl", "a\\..\\b.json")


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.canary),)


def test_the_payload_works(tmp_path: Path) -> None:
    """Or all of the below would prove nothing."""
    pickle.loads(pickled(tmp_path / "canary"))
    exec(code(tmp_path / "other"), {})
    assert (tmp_path / "canary").exists() and (tmp_path / "other").exists()


def pickled(canary: Path) -> bytes:
    return pickle.dumps(Payload(canary))


def torch_zip(canary: Path) -> bytes:
    import torch

    stream = io.BytesIO()
    torch.save({"weight": Payload(canary)}, stream)
    return stream.getvalue()


def code(canary: Path) -> str:
    return f"import os\nos.mkdir({str(canary)!r})\nclass Evil: pass\n"


def change(folder: Path, file: str = "config.json", **changes: Any) -> None:
    path = folder / file
    path.write_text(json.dumps({**(json.loads(path.read_text()) if path.exists() else {}), **changes}))


def with_header(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """The weights with another header."""
    path = folder / "model.safetensors"
    raw = path.read_bytes()
    length = struct.unpack("<Q", raw[:8])[0]
    made = change(json.loads(raw[8 : 8 + length]))
    header = made if isinstance(made, bytes) else json.dumps(made).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + raw[8 + length :])


def first_tensor(header: dict[str, Any], **fields: Any) -> dict[str, Any]:
    name = next(key for key in header if key != "__metadata__")
    return {**header, name: {**header[name], **fields}}


# Refused: the run ends with exit code 12 and a message that names the file.


def only_a_pickle(folder: Path, canary: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(torch_zip(canary))


def pickle_as_safetensors(folder: Path, canary: Path) -> None:
    (folder / "model.safetensors").write_bytes(pickled(canary))


def torch_zip_as_safetensors(folder: Path, canary: Path) -> None:
    (folder / "model.safetensors").write_bytes(torch_zip(canary))


def second_weights_are_a_pickle(folder: Path, canary: Path) -> None:
    (folder / "extra.safetensors").write_bytes(pickled(canary))


def pickle_as_config(folder: Path, canary: Path) -> None:
    (folder / "config.json").write_bytes(pickled(canary))


def pickle_as_tokenizer(folder: Path, canary: Path) -> None:
    (folder / "tokenizer.json").write_bytes(pickled(canary))


def huge_header(folder: Path, canary: Path) -> None:
    raw = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", 1 << 63) + raw[8:])


def header_longer_than_the_file(folder: Path, canary: Path) -> None:
    raw = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(raw)) + raw[8:])


def header_is_no_json(folder: Path, canary: Path) -> None:
    with_header(folder, lambda header: pickled(canary).ljust(100))


def header_is_a_list(folder: Path, canary: Path) -> None:
    with_header(folder, lambda header: [header])


def a_tensor_twice(folder: Path, canary: Path) -> None:
    def twice(header: dict[str, Any]) -> bytes:
        name = next(key for key in header if key != "__metadata__")
        again = f"{json.dumps(name)}: {json.dumps(header[name])}"
        return f"{json.dumps(header)[:-1]}, {again}}}".encode()

    with_header(folder, twice)


def negative_offsets(folder: Path, canary: Path) -> None:
    with_header(folder, lambda header: first_tensor(header, data_offsets=[-8, 8]))


def overlapping_tensors(folder: Path, canary: Path) -> None:
    def overlap(header: dict[str, Any]) -> dict[str, Any]:
        first, second = [key for key in header if key != "__metadata__"][:2]
        return {**header, second: {**header[first]}}

    with_header(folder, overlap)


def offsets_behind_the_end(folder: Path, canary: Path) -> None:
    with_header(folder, lambda header: first_tensor(header, data_offsets=[1 << 40, (1 << 40) + 8]))


def absurd_shape(folder: Path, canary: Path) -> None:
    with_header(folder, lambda header: first_tensor(header, shape=[1 << 62, 1 << 62]))


def infinite_shape(folder: Path, canary: Path) -> None:
    with_header(folder, lambda header: json.dumps(first_tensor(header, shape=[float("inf")])).encode())


def unknown_type(folder: Path, canary: Path) -> None:
    with_header(folder, lambda header: first_tensor(header, dtype="object"))


def a_setting_twice(folder: Path, canary: Path) -> None:
    text = (folder / "config.json").read_text().strip()
    (folder / "config.json").write_text(text[:-1] + ', "model_type": "bert"}')


def settings_nested_without_end(folder: Path, canary: Path) -> None:
    (folder / "generation_config.json").write_text("[" * 200_000)


def settings_are_a_list(folder: Path, canary: Path) -> None:
    (folder / "config.json").write_text("[1]")


def gzipped_settings(folder: Path, canary: Path) -> None:
    (folder / "config.json").write_bytes(gzip.compress(b" " * 50_000_000))


def index_leads_out(folder: Path, canary: Path) -> None:
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": {"a": "../../evil.safetensors"}})
    )


def index_leads_to_a_pickle(folder: Path, canary: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(torch_zip(canary))
    index = {"metadata": {}, "weight_map": {"a": "pytorch_model.bin"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def index_is_absolute(folder: Path, canary: Path) -> None:
    index = {"metadata": {}, "weight_map": {"a": "/etc/passwd.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def adapter_names_another_model(folder: Path, canary: Path) -> None:
    change(folder, "adapter_config.json", base_model_name_or_path="/work/evil", peft_type="LORA")


REFUSED: list[tuple[Spoil, str]] = [
    (only_a_pickle, "pytorch_model.bin"),
    (pickle_as_safetensors, "model.safetensors"),
    (torch_zip_as_safetensors, "model.safetensors"),
    (second_weights_are_a_pickle, "extra.safetensors"),
    (pickle_as_config, "config.json"),
    (pickle_as_tokenizer, "tokenizer.json"),
    (huge_header, "model.safetensors"),
    (header_longer_than_the_file, "model.safetensors"),
    (header_is_no_json, "model.safetensors"),
    (header_is_a_list, "model.safetensors"),
    (a_tensor_twice, "model.safetensors"),
    (negative_offsets, "model.safetensors"),
    (overlapping_tensors, "model.safetensors"),
    (offsets_behind_the_end, "model.safetensors"),
    (absurd_shape, "model.safetensors"),
    (infinite_shape, "model.safetensors"),
    (unknown_type, "model.safetensors"),
    (a_setting_twice, "config.json"),
    (settings_nested_without_end, "generation_config.json"),
    (settings_are_a_list, "config.json"),
    (gzipped_settings, "config.json"),
    (index_leads_out, "model.safetensors.index.json"),
    (index_leads_to_a_pickle, "model.safetensors.index.json"),
    (index_is_absolute, "model.safetensors.index.json"),
    (adapter_names_another_model, "adapter_config.json"),
]


@pytest.mark.parametrize(("spoil", "file"), REFUSED, ids=lambda value: getattr(value, "__name__", ""))
def test_refused_by_name(
    yard: Yard, base_folder: Path, dataset: dict[str, str], tmp_path: Path, spoil: Spoil, file: str
) -> None:
    canary = tmp_path / "canary"
    pin = spoiled(yard, base_folder, tmp_path, spoil, canary)
    config = yard.train_config(f"run-{spoil.__name__}".replace("_", "-"), pin, dataset)
    code, outcome = yard.run(config)
    assert not canary.exists()
    assert code == ExitCode.BASE_INVALID
    assert outcome.reason in {names.BASE_UNSAFE, names.BASE_INVALID}
    assert f"{file} of spec.from.base" in outcome.message or f"{file})" in outcome.message
    assert yard.store.stat(BUCKET, layout.manifest_key(layout.version_prefix(config.prefix))) is None


def spoiled(yard: Yard, base_folder: Path, tmp_path: Path, spoil: Spoil, canary: Path) -> dict[str, str]:
    folder = tmp_path / "base"
    shutil.copytree(base_folder, folder)
    spoil(folder, canary)
    return yard.put_folder(f"hostile/{spoil.__name__}/", folder)


# Left out: the model loads without it, nothing of it is executed, and the report names it.


def pickles_beside(folder: Path, canary: Path) -> None:
    for name in PICKLES:
        (folder / name).write_bytes(pickled(canary))


def zips_beside(folder: Path, canary: Path) -> None:
    with zipfile.ZipFile(folder / "inner.zip", "w") as inner:
        inner.writestr("pytorch_model.bin", pickled(canary))
    with zipfile.ZipFile(folder / "model.zip", "w") as outer:
        outer.write(folder / "inner.zip", "../../inner.zip")


def code_of_its_own(folder: Path, canary: Path) -> None:
    (folder / "evil.py").write_text(code(canary))
    where = {"AutoModelForSequenceClassification": "evil.Evil", "AutoConfig": "evil.Evil", "AutoModel": "evil.Evil"}
    change(folder, auto_map=where, trust_remote_code=True, custom_pipelines={"x": {"impl": "evil.Evil"}})


def tokenizer_with_code(folder: Path, canary: Path) -> None:
    (folder / "tokenization_evil.py").write_text(code(canary))
    change(folder, "tokenizer_config.json", auto_map={"AutoTokenizer": ["tokenization_evil.Evil", None]})


def kernels_from_elsewhere(folder: Path, canary: Path) -> None:
    change(folder, _attn_implementation="evil/kernel", text_config={"attn_implementation": "evil/kernel", "a": [1]})


def weights_from_elsewhere(folder: Path, canary: Path) -> None:
    change(folder, transformers_weights="../../evil.safetensors")


def template_with_code(folder: Path, canary: Path) -> None:
    evil = "{{ cycler.__init__.__globals__.os.mkdir('" + str(canary) + "') }}"
    (folder / "chat_template.jinja").write_text(evil)
    change(folder, "tokenizer_config.json", chat_template=evil)


LEFT_OUT: list[tuple[Spoil, set[str]]] = [
    (pickles_beside, set(PICKLES)),
    (zips_beside, {"inner.zip", "model.zip"}),
    (
        code_of_its_own,
        {"evil.py", "config.json: auto_map", "config.json: trust_remote_code", "config.json: custom_pipelines"},
    ),
    (tokenizer_with_code, {"tokenization_evil.py", "tokenizer_config.json: auto_map"}),
    (kernels_from_elsewhere, {"config.json: _attn_implementation", "config.json: attn_implementation"}),
    (weights_from_elsewhere, {"config.json: transformers_weights"}),
    (template_with_code, {"chat_template.jinja"}),
]


@pytest.mark.parametrize(("spoil", "found"), LEFT_OUT, ids=lambda value: getattr(value, "__name__", ""))
def test_left_out_by_name(
    yard: Yard, base_folder: Path, dataset: dict[str, str], tmp_path: Path, spoil: Spoil, found: set[str]
) -> None:
    canary = tmp_path / "canary"
    name = f"loaded-{spoil.__name__}".replace("_", "-")
    config = yard.train_config(name, spoiled(yard, base_folder, tmp_path, spoil, canary), dataset)
    with environment(yard.environment()):
        run = cast("TrainRun", make_run(config, tmp_path / "work", Stop()))
        try:
            fetch.execute(run)
            load.execute(run)
        finally:
            run.progress.close()
    assert not canary.exists()
    assert set(run.figures["left_out"]) == found
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
def test_a_manifest_that_leads_out(yard: Yard, base: dict[str, str], dataset: dict[str, str], path: str) -> None:
    """Prepared rows whose manifest names a file outside of its folder, or one that is never loaded."""
    name = f"leads-out-{digest_of(path.encode())[7:17]}"
    prefix = f"ns/team/datasets/{name}/p1/"
    info = json.loads(yard.store.get(BUCKET, layout.manifest_key(dataset["prefix"])))["info"]
    entry = FileEntry(path=path, size=1, sha256="0" * 64)
    sides = [FileEntry(path=f"{side}.jsonl", size=1, sha256="0" * 64) for side in ("train", "validation", "test")]
    manifest = Manifest(kind="dataset", files=[entry, *sides], info=info)
    yard.store.put(BUCKET, layout.manifest_key(prefix), manifest.to_bytes())
    code, outcome = yard.run(yard.train_config(name, base, {**dataset, "prefix": prefix}))
    assert code == ExitCode.CORRUPT and repr(path) in outcome.message


@pytest.mark.parametrize("file", ["optimizer.pt", "scheduler.pt", "rng_state.pth"])
def test_a_checkpoint_with_a_pickle_is_named_and_never_used(
    yard: Yard, tmp_path: Path, caplog: pytest.LogCaptureFixture, file: str
) -> None:
    canary, folder = tmp_path / "canary", tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": 5}))
    (folder / file).write_bytes(torch_zip(canary) if file == "optimizer.pt" else pickled(canary))
    place = Place(yard.store, BUCKET, layout.run_prefix("team", "words", f"hostile-{file}"))
    publish(yard.store, BUCKET, place.prefix(5), folder, "checkpoint", {"step": 5})
    assert newest(place, tmp_path / "resume") is None
    assert not canary.exists() and file in caplog.text
    assert place.steps() == ([], [])


def test_an_honest_checkpoint_is_used(yard: Yard, tmp_path: Path) -> None:
    import numpy as np
    import torch

    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": 5}))
    torch.save({"state": {0: torch.ones(4)}, "param_groups": [{"lr": 0.1}]}, folder / "optimizer.pt")
    torch.save({"numpy": np.random.get_state(), "cpu": torch.random.get_rng_state()}, folder / "rng_state.pth")
    place = Place(yard.store, BUCKET, layout.run_prefix("team", "words", "honest"))
    publish(yard.store, BUCKET, place.prefix(5), folder, "checkpoint", {"step": 5})
    found = newest(place, tmp_path / "resume")
    assert found is not None and found.step == 5

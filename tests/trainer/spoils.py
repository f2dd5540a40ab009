"""Ways to spoil a model folder: what must be refused by the name of the file, and what is left out by name.

Each payload would create a canary file when it is unpickled, imported or rendered.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

Spoil = Callable[[Path, Path], None]
PICKLES = ("pytorch_model.bin", "training_args.bin", "optimizer.pt", "weights.pkl", "model.joblib", "a.npy")


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.canary),)


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


def with_header_length(folder: Path, length: int) -> None:
    """The weights with a header that says it is so many bytes long."""
    path = folder / "model.safetensors"
    path.write_bytes(struct.pack("<Q", length) + path.read_bytes()[8:])


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
    with_header_length(folder, 1 << 63)


def header_longer_than_the_file(folder: Path, canary: Path) -> None:
    with_header_length(folder, (folder / "model.safetensors").stat().st_size)


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
    # A template is a program by its nature: it is rendered in a sandbox, and by conversations alone.
    (template_with_code, set()),
]

"""What may be loaded: safetensors and JSON that are what they say. All else is refused, or left out, by name."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from modelyard import names
from modelyard.api.base_folder import CHAT_TEMPLATE
from modelyard.storage.errors import Corrupt
from modelyard_trainer.errors import TrainerError, bad_base

CODE_KEYS = frozenset(
    {
        *("auto_map", "custom_pipelines", "trust_remote_code", "code_revision", "transformers_weights"),
        *("_attn_implementation", "attn_implementation", "_attn_implementation_internal", "use_kernels"),
        *("_experts_implementation", "experts_implementation", "_experts_implementation_internal", "kernel_config"),
    }
)
"""Settings that could make the library import or download code, or open another file, at any depth."""
INDEX = "model.safetensors.index.json"
ADAPTER = "adapter_config.json"
OBJECTS = {INDEX, *(f"{name}.json" for name in ("config", "tokenizer", "tokenizer_config", "generation_config"))}
"""Files that are read as JSON objects; others, such as modules.json, may be lists."""
HEADER_LIMIT = 100_000_000
"""Bytes of a safetensors header; the format's own limit."""
JSON_LIMIT = 512 * 1024 * 1024
REMEDY = "save the model again with save_pretrained() and upload that"


def check_folder(folder: Path) -> list[str]:
    """Refuse a hostile base model before anything opens it; the settings that were taken out, as `file: key`."""
    removed: list[str] = []
    for path in sorted(folder.iterdir()):
        if path.is_symlink() or not path.is_file():
            raise unsafe(path.name, "it is no plain file")
        if path.suffix == ".safetensors":
            check_weights(path)
        elif path.suffix == ".json":
            removed += _check_json(path)
        elif path.name == CHAT_TEMPLATE:
            continue  # rendered in a sandbox, and only by a task that needs it
        else:
            raise unsafe(path.name, "only *.safetensors and *.json are loaded")
    return removed


def unsafe(name: str, why: str) -> TrainerError:
    """A file of the base model that is not what it says."""
    return bad_base(f"{name} of spec.from.base is refused: {why}; {REMEDY}", names.BASE_UNSAFE)


def check_weights(path: Path) -> None:
    """Header of a safetensors file: of honest length, JSON without equal keys, offsets that fit; no data is read."""
    from safetensors import SafetensorError, safe_open

    size = path.stat().st_size
    with path.open("rb") as stream:
        start = stream.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= min(HEADER_LIMIT, size - 8):
            raise unsafe(path.name, f"it is no safetensors file (header of {length} bytes in a file of {size})")
        header = strict_json(stream.read(length), path.name)
    if not isinstance(header, dict):
        raise unsafe(path.name, "its header is no JSON object")
    try:
        with safe_open(path, framework="numpy"):
            pass
    except (SafetensorError, ValueError, OverflowError) as fault:
        raise bad_base(f"{path.name} of spec.from.base is refused: its header is wrong ({fault}); {REMEDY}") from fault


def strict_json(data: bytes, name: str) -> Any:
    """JSON in which no object says a key twice: two readers must not see two models."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            twice = next(key for key, _ in pairs if [k for k, _ in pairs].count(key) > 1)
            raise unsafe(name, f"the key {twice!r} is in it twice")
        return found

    try:
        return json.loads(data, object_pairs_hook=unique)
    except RecursionError as fault:
        raise unsafe(name, "it is nested too deeply") from fault
    except ValueError as fault:
        raise bad_base(f"{name} of spec.from.base is not JSON ({fault}): upload the model again") from fault


def _check_json(path: Path) -> list[str]:
    """One settings file, written back without what could bring code."""
    if path.name == ADAPTER:
        raise unsafe(path.name, "an adapter names another model to load")
    if path.stat().st_size > JSON_LIMIT:
        raise unsafe(path.name, f"it has more than {JSON_LIMIT} bytes")
    content = strict_json(path.read_bytes(), path.name)
    if path.name in OBJECTS and not isinstance(content, dict):
        raise unsafe(path.name, "it is no JSON object")
    if path.name == INDEX:
        _check_index(path, content)
    removed = list(_take_out(content))
    if removed:
        path.write_text(json.dumps(content))
    return [f"{path.name}: {key}" for key in removed]


def _check_index(path: Path, content: dict[str, Any]) -> None:
    """The parts of the weights: files of this folder, all of them safetensors."""
    parts = content.get("weight_map")
    if not isinstance(parts, dict):
        raise unsafe(path.name, "it has no weight_map")
    for name in sorted(set(map(str, parts.values()))):
        if "/" in name or "\\" in name or not name.endswith(".safetensors") or not (path.parent / name).is_file():
            raise unsafe(path.name, f"it names {name!r}, which is no *.safetensors file of the folder")


def _take_out(node: Any) -> Iterator[str]:
    """Remove CODE_KEYS at any depth; gives those that were there."""
    if isinstance(node, dict):
        for key in sorted(CODE_KEYS & set(node)):
            del node[key]
            yield key
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _take_out(child)


def check_tensors(folder: Path) -> None:
    """Side files of a checkpoint hold tensors and plain values alone; Corrupt names the one that does not."""
    for path in sorted(path for path in folder.iterdir() if path.suffix in (".pt", ".pth")):
        import torch
        from transformers.trainer_pt_utils import safe_globals

        try:
            with safe_globals():
                torch.load(path, weights_only=True, map_location="meta", mmap=True)
        except Exception as fault:
            reason = str(fault).strip().splitlines() or [type(fault).__name__]
            raise Corrupt(f"{path.name} holds more than tensors ({reason[0][:200]})") from fault

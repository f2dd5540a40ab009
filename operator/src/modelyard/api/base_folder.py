"""Whether a folder's files can be a base model; the operator looks before it makes a Job, the trainer once more."""

from __future__ import annotations

from collections.abc import Sequence
from posixpath import splitext

from modelyard import names

PICKLES = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".h5", ".msgpack", ".npy"})
SENTENCEPIECE = ("spm.model", "spiece.model", "tokenizer.model", "sentencepiece.bpe.model", "source.spm")
WORD_LISTS = ("vocab.txt", "vocab.json", "merges.txt")
NEEDED = ("config.json", "tokenizer.json")
LOADED = (".safetensors", ".json")
CHAT_TEMPLATE = "chat_template.jinja"
"""How a base writes a conversation, where it is a file of its own."""


def is_loaded(path: str) -> bool:
    """Whether a file of a base is ever fetched: weights and settings of the folder itself."""
    return path == CHAT_TEMPLATE or ("/" not in path and path.endswith(LOADED) and not path.startswith("."))


def fault_of(uri: str, paths: Sequence[str]) -> tuple[str, str] | None:
    """Reason and message with what helps, from the paths of the files below the folder; None if it may be a base."""
    names_here = {path for path in paths if "/" not in path}
    weights = [path for path in names_here if path.endswith(".safetensors")]
    wrong = _another_kind(names_here, weights)
    if wrong:
        return names.BASE_INVALID, f"spec.from.base: {uri} {wrong}"
    pickles = sorted(path for path in paths if splitext(path)[1].lower() in PICKLES)
    if not weights and pickles:
        return names.BASE_UNSAFE, (
            f"spec.from.base: {uri} has no *.safetensors, only pickled weights ({', '.join(pickles[:3])}), which can "
            "run code when they are loaded; save them as safetensors (in Python, model.save_pretrained(folder, "
            "safe_serialization=True))"
        )
    if "config.json" in names_here and weights and "tokenizer.json" not in names_here:
        return names.BASE_INVALID, f"spec.from.base: {uri} has no tokenizer.json, {_without_tokenizer(names_here)}"
    missing = [name for name in NEEDED if name not in names_here] + ([] if weights else ["*.safetensors"])
    if missing:
        return names.BASE_INVALID, f"spec.from.base: {uri} lacks {', '.join(missing)}; upload the whole model folder"
    return None


def _another_kind(here: set[str], weights: Sequence[str]) -> str:
    """What the folder is instead of a model, and what helps; empty if nothing speaks against it."""
    if "model_index.json" in here:
        return "is a pipeline of several models (model_index.json), not one text model; name the folder of a text model"
    if "adapter_config.json" in here and "config.json" not in here:
        return (
            "is an adapter without its base model (adapter_config.json); merge them: in Python, "
            "AutoPeftModel.from_pretrained(folder).merge_and_unload().save_pretrained(merged), and upload that"
        )
    if not weights and any(path.endswith(".gguf") for path in here):
        return "has weights in GGUF alone, which cannot be trained; upload the model's *.safetensors"
    return ""


def _without_tokenizer(here: set[str]) -> str:
    """Where the tokenizer lies in an older form, and the line that writes the newer one."""
    older = sorted(here & {*SENTENCEPIECE, *WORD_LISTS})
    write = "in Python, AutoTokenizer.from_pretrained(folder).save_pretrained(folder) writes it"
    if older:
        return f"only the tokenizer's older form ({', '.join(older)}); {write}, then upload the folder again"
    return f"which holds the words that the model knows; {write}, then upload the whole folder"

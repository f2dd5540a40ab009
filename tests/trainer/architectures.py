"""Tiny base models of many architectures, with random weights and the kind of tokenizer that each really has."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.trainer.words import rows

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
LLAMA = {**SMALL, "num_key_value_heads": 1, "max_position_embeddings": 64}
BERT_WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ROBERTA_WORDS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
VOCABULARY = 300


@dataclass(frozen=True)
class Architecture:
    """A type of the transformers library and how a tiny one is made."""

    type: str
    tokenizer: Callable[[], Any]
    settings: dict[str, Any] = field(default_factory=dict)
    limit: int | None = 64
    """Tokens that it takes at most; None: it has no limit of its own."""


def write(architecture: Architecture, folder: Path, **changes: Any) -> Path:
    """config.json, tokenizer.json and model.safetensors."""
    import torch
    from transformers import AutoConfig, AutoModel

    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = architecture.tokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"vocab_size": tokenizer.get_vocab_size(), **architecture.settings, **changes}
    if isinstance(settings.get("eos_token_id"), list):
        settings["eos_token_id"] = [tokenizer.token_to_id(token) for token in settings["eos_token_id"]]
    AutoModel.from_config(AutoConfig.for_model(architecture.type, **settings)).save_pretrained(folder)
    return folder


def edit(folder: Path, **changes: Any) -> None:
    """Change config.json; None takes a setting out."""
    path = folder / "config.json"
    content = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({name: value for name, value in content.items() if value is not None}))


def texts() -> list[str]:
    """What the tokenizers learn from."""
    return [row["text"] for row in rows(200)] + ["wow ! ! so good !"]


def wordpiece() -> Any:
    """As BERT, DistilBERT and ELECTRA have it."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    made.train_from_iterator(texts(), trainers.WordPieceTrainer(vocab_size=VOCABULARY, special_tokens=BERT_WORDS))
    return _framed(made, "[CLS]", "[SEP]")


def byte_level(special: list[str], ends: tuple[str, ...] = ()) -> Callable[[], Any]:
    """Byte-level BPE, as RoBERTa, BART, GPT-2, OPT, ModernBERT, Llama 3 and Qwen have it; "!" is id 0."""

    def make() -> Any:
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

        made = Tokenizer(models.BPE())
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.decoder = decoders.ByteLevel()
        letters = pre_tokenizers.ByteLevel.alphabet()
        first = special if ends else []
        made.train_from_iterator(
            texts(), trainers.BpeTrainer(vocab_size=VOCABULARY + 100, special_tokens=first, initial_alphabet=letters)
        )
        if not ends:  # these come behind the vocabulary
            made.add_special_tokens(special)
            return made
        return _framed(made, *ends)

    return make


def unigram(special: list[str], first: str, last: str) -> Callable[[], Any]:
    """As sentencepiece makes it: XLM-RoBERTa, ALBERT, DeBERTa-v2; special tokens are pieces as well."""

    def make() -> Any:
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

        made = Tokenizer(models.Unigram())
        made.pre_tokenizer = pre_tokenizers.Metaspace()
        made.decoder = decoders.Metaspace()
        unknown = next(token for token in special if "unk" in token.lower())
        trainer = trainers.UnigramTrainer(vocab_size=VOCABULARY, special_tokens=special, unk_token=unknown)
        made.train_from_iterator(texts(), trainer)
        return _framed(made, first, last)

    return make


def sentence_bpe() -> Any:
    """As Llama 2 and Mistral have it: BPE over sentencepiece's marks, unknown letters as bytes, only <s> in front."""
    from tokenizers import Tokenizer, decoders, models, normalizers, processors, trainers

    made = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    letters = [f"<0x{number:02X}>" for number in range(256)]
    special = ["<unk>", "<s>", "</s>"]
    made.train_from_iterator(
        [word for text in texts() for word in text.split()],
        trainers.BpeTrainer(vocab_size=VOCABULARY + 256, special_tokens=[*special, *letters]),
    )
    made.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    content = json.loads(made.to_str())
    content["added_tokens"] = [token for token in content["added_tokens"] if token["content"] in special]
    return Tokenizer.from_str(json.dumps(content))  # bytes are ordinary tokens


def _framed(made: Any, first: str, *last: str) -> Any:
    from tokenizers import processors

    ends = [(token, made.token_to_id(token)) for token in dict.fromkeys((first, *last))]
    made.post_processor = processors.TemplateProcessing(single=" ".join([first, "$A", *last]), special_tokens=ends)
    return made


BART = {
    **{"d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2},
    **{"decoder_attention_heads": 2, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "max_position_embeddings": 64},
    **{"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2, "forced_eos_token_id": 2},
}
ROBERTA = {**SMALL, "max_position_embeddings": 66, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
SPM_WORDS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
DEBERTA_WORDS = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"]
ALBERT_WORDS = ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"]
roberta_bpe = byte_level(ROBERTA_WORDS, ("<s>", "</s>"))
gpt2_bpe = byte_level(["<|endoftext|>"])
neox_bpe = byte_level(["<|endoftext|>", "<|padding|>"])
GPT2 = {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64}
ARCHITECTURES = {
    "bert": Architecture("bert", wordpiece, {**SMALL, "max_position_embeddings": 64}),
    "roberta": Architecture("roberta", roberta_bpe, ROBERTA),
    "distilbert": Architecture(
        "distilbert",
        wordpiece,
        {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64, "max_position_embeddings": 64},
    ),
    "deberta": Architecture(
        "deberta",
        byte_level(DEBERTA_WORDS, ("[CLS]", "[SEP]")),
        {**SMALL, "max_position_embeddings": 64, "relative_attention": True, "pos_att_type": ["c2p", "p2c"]}
        | {"position_biased_input": False, "pad_token_id": 0},
        limit=None,
    ),
    "deberta-v2": Architecture(
        "deberta-v2",
        unigram(DEBERTA_WORDS, "[CLS]", "[SEP]"),
        {**SMALL, "max_position_embeddings": 64, "relative_attention": True, "pos_att_type": ["p2c", "c2p"]}
        | {"position_biased_input": False, "position_buckets": 16, "norm_rel_ebd": "layer_norm", "share_att_key": True},
        limit=None,
    ),
    "modernbert": Architecture(
        "modernbert",
        byte_level(BERT_WORDS, ("[CLS]", "[SEP]")),
        {**SMALL, "max_position_embeddings": 64, "local_attention": 16, "pad_token_id": 0, "cls_token_id": 2}
        | {"sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3},
    ),
    "gpt2": Architecture("gpt2", gpt2_bpe, {**GPT2, "bos_token_id": None, "eos_token_id": ["<|endoftext|>"]}),
    "llama": Architecture("llama", sentence_bpe, {**LLAMA, "bos_token_id": 1, "eos_token_id": 2}),
    "llama-3": Architecture(
        "llama",
        byte_level(["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"]),
        {**LLAMA, "bos_token_id": None, "eos_token_id": ["<|end_of_text|>", "<|eot_id|>"]},
    ),
    "mistral": Architecture(
        "mistral", sentence_bpe, {**LLAMA, "sliding_window": None, "bos_token_id": 1, "eos_token_id": 2}
    ),
    "qwen2": Architecture("qwen2", byte_level(["<|endoftext|>", "<|im_start|>", "<|im_end|>"]), LLAMA),
    "opt": Architecture(
        "opt",
        byte_level(["<s>", "<pad>", "</s>", "<unk>"], ("</s>",)),
        {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "ffn_dim": 64}
        | {"word_embed_proj_dim": 32, "max_position_embeddings": 64, "pad_token_id": 1, "eos_token_id": 2},
    ),
    "bart": Architecture("bart", roberta_bpe, BART),
    "albert": Architecture(
        "albert",
        unigram(ALBERT_WORDS, "[CLS]", "[SEP]"),
        {**SMALL, "embedding_size": 16, "max_position_embeddings": 64, "pad_token_id": 0},
    ),
    "electra": Architecture("electra", wordpiece, {**SMALL, "embedding_size": 16, "max_position_embeddings": 64}),
    "xlm-roberta": Architecture("xlm-roberta", unigram(SPM_WORDS, "<s>", "</s>"), ROBERTA),
    "gpt_neox": Architecture("gpt_neox", neox_bpe, {**SMALL, "max_position_embeddings": 64}),
}

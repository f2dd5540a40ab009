"""A small encoder with a decoder that begins with random weights, and a tokenizer learned from the training rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from modelyard_trainer.base_config import length_of
from modelyard_trainer.run import TrainRun
from modelyard_trainer.tasks.protocols import Fields
from modelyard_trainer.tasks.seq2seq_codec import Ends, Rewriter
from modelyard_trainer.tasks.texts import TOKENIZER, TextReader, load_tokenizer

R = TypeVar("R", bound=Rewriter)
PAD, END = "<pad>", "</s>"
VOCABULARY = 4000
"""Tokens, which both texts share."""
CHUNK = 4096
"""Rows that are in memory at once while the longest text that is written is looked for."""
ROOM = 1.25
"""Tokens that an answer may have at most, as a share of the longest text that training rows write."""


def fit(run: TrainRun, made: type[R]) -> R:
    """The codec; the same rows give the same tokenizer."""
    folder = run.folder("tokenizer")
    rows = run.rows["train"]
    tokenizer(text for row in rows for text in (row[made.source], row[made.target])).save(str(folder / TOKENIZER))
    max_length = length_of(run.config.input, run.config.by_recipe, None)
    found = load_tokenizer(folder, max_length)
    pad, end = found.token_to_id(PAD), found.token_to_id(END)
    reader = TextReader(found, pad, max_length, run.prepare)
    return bounded(made(reader, Ends(pad, [end], max_length), made.copies), rows)


def tokenizer(texts: Iterable[str]) -> Any:
    """Byte-level BPE: it has no unknown letters, and decodes to what was encoded."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    made.decoder = decoders.ByteLevel()
    letters = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=VOCABULARY, special_tokens=[PAD, END], initial_alphabet=letters, show_progress=False
        ),
    )
    ends = [(END, made.token_to_id(END))]
    made.post_processor = processors.TemplateProcessing(single=f"$A {END}", special_tokens=ends)
    return made


def model(run: TrainRun, codec: Rewriter) -> Any:
    """Three layers each in encoder and decoder, of Marian's kind."""
    from transformers import MarianConfig, MarianMTModel

    size, pad = codec.reader.tokenizer.get_vocab_size(), codec.reader.pad_id
    config = MarianConfig(
        vocab_size=size,
        decoder_vocab_size=size,
        d_model=128,
        encoder_layers=3,
        decoder_layers=3,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=512,
        decoder_ffn_dim=512,
        max_position_embeddings=codec.reader.max_length + 1,
        scale_embedding=True,
        pad_token_id=pad,
        bos_token_id=None,
        eos_token_id=codec.ends.last[0],
        forced_eos_token_id=None,
        decoder_start_token_id=codec.ends.start,
    )
    return MarianMTModel(config)


def bounded(codec: R, rows: Sequence[Fields], least: int = 0) -> R:
    """With answers not much longer than those of the training rows, or as long as the version before."""
    chunks = (rows[at : at + CHUNK] for at in range(0, len(rows), CHUNK))
    longest = max(len(ids) for chunk in chunks for ids, _ in codec.reader.ids([row[codec.target] for row in chunk]))
    most = min(codec.reader.max_length, max(least, int(ROOM * longest) + 1))
    return type(codec)(codec.reader, replace(codec.ends, most=most), codec.copied)

"""Encoder-decoder models of the transformers library, from a base or from scratch: what their learners share."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from modelyard_trainer.errors import bad_base
from modelyard_trainer.graphs import torch_graphs
from modelyard_trainer.run import TrainRun
from modelyard_trainer.tasks import learning, seq2seq_scratch, text_base
from modelyard_trainer.tasks.protocols import Answer, Fields, Part, Reading
from modelyard_trainer.tasks.seq2seq_codec import Ends, Generated, Rewriter

R = TypeVar("R", bound=Rewriter)
ADAPTER_TASK = "SEQ_2_SEQ_LM"


def fit(run: TrainRun, made: type[R]) -> R:
    """The codec for the base's tokenizer, or for one that is learned from the training rows."""
    if run.config.base is None and not run.part:
        return seq2seq_scratch.fit(run, made)
    from transformers import __version__
    from transformers.models.auto.modeling_auto import MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES as REWRITERS

    config = text_base.read_config(run.base)
    if config.model_type not in REWRITERS:
        raise bad_base(
            f"spec.from.base is a model of type '{config.model_type}', which transformers {__version__} has no encoder "
            "with a decoder for: choose a model such as marian, t5, bart or mbart"
        )
    reader = text_base.fit_reader(run, config)
    if run.parent is not None:
        ends = Ends(**run.parent.codec["ends"])
        return seq2seq_scratch.bounded(made(reader, ends), run.rows["train"], ends.most)
    last = config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
    start = config.decoder_start_token_id
    if start is None or None in last:
        raise bad_base("config.json of spec.from.base has no decoder_start_token_id or no eos_token_id: add them")
    return seq2seq_scratch.bounded(made(reader, Ends(start, last, reader.max_length)), run.rows["train"])


def load_model(run: TrainRun, codec: Rewriter) -> tuple[Any, list[str]]:
    """A torch model in fp32, and the names of weights that the folder did not bring.

    Attention is computed in single steps: the fused kernels of T5 cannot be written as ONNX.
    """
    from transformers import AutoModelForSeq2SeqLM

    if run.config.base is None and not run.part:
        return seq2seq_scratch.model(run, codec), []
    settings = {"attn_implementation": "eager"}
    return text_base.load_pretrained(AutoModelForSeq2SeqLM, run.base, codec.reader.pad_id, **settings)


def guessing(codec: Rewriter) -> float:
    """Of tokens that are all as likely."""
    return math.log(codec.reader.tokenizer.get_vocab_size())


def targets(codec: Rewriter, row: Fields, reading: Reading) -> np.ndarray:
    """Token ids of what is written, which a row of the run was read with."""
    known = codec.target_ids(row[codec.target]) if reading.kept is None else reading.kept
    ids: np.ndarray = np.asarray(known, dtype=np.int64)
    return ids


def augmented(
    codec: Rewriter, reading: Reading, target: np.ndarray, draw: np.random.Generator
) -> tuple[Reading, np.ndarray]:
    """As it is, or, where the codec says so, with what is written in place of the text: so names stand."""
    if codec.copied and draw.random() < codec.copied:
        return Reading({"input_ids": target.astype(np.int32)}, len(target)), target
    return reading, target


def collate(codec: Rewriter, readings: Sequence[Reading], targets: Sequence[np.ndarray]) -> dict[str, Any]:
    """Token ids and mask of the text, token ids of what is written."""
    return learning.with_sequences(codec, readings, targets, max(map(len, targets)))


def judged(
    model: Any, inputs: Mapping[str, Any], codec: Rewriter, readings: Sequence[Reading]
) -> tuple[float, list[Generated]]:
    """Loss by the right tokens so far, and what is generated."""
    return float(model(**inputs).loss), codec.answer(torch_graphs(parts(model)), readings)


def parts(model: Any) -> dict[str, Part]:
    """One pass over the text, and one over the text and what is generated so far: logits of the next token."""
    import torch
    from transformers.modeling_outputs import BaseModelOutput

    plain = model.get_base_model() if hasattr(model, "get_base_model") else model

    class Encoder(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.encoder = plain.get_encoder()

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            return self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state

    class Decoder(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = plain

        def forward(self, decoder_input_ids: Any, hidden: Any, attention_mask: Any) -> Any:
            only_last = plain.get_output_embeddings().register_forward_pre_hook(lambda head, given: (given[0][:, -1:],))
            try:
                found = self.model(
                    encoder_outputs=BaseModelOutput(last_hidden_state=hidden),
                    attention_mask=attention_mask,
                    decoder_input_ids=decoder_input_ids,
                    use_cache=False,
                )
            finally:
                only_last.remove()
            return found.logits[:, -1]

    text: dict[str, np.ndarray] = {name: np.ones((2, 8), dtype=np.int64) for name in ("input_ids", "attention_mask")}
    hidden: np.ndarray = np.zeros((2, 8, plain.config.hidden_size), dtype=np.float32)
    given = {
        "decoder_input_ids": np.ones((2, 5), dtype=np.int64),
        "hidden": hidden,
        "attention_mask": text["attention_mask"],
    }
    return {
        "encoder": Part(Encoder(), text, ("hidden",), {name: (0, 1) for name in text}),
        "decoder": Part(Decoder(), given, ("logits",), {name: (0, 1) for name in given}),
    }


def commonest(target: str, train: Sequence[Fields], test: Sequence[Fields]) -> list[Answer]:
    """What most training rows write, by their column `target`, for every text."""
    (text, _), *_ = Counter(row[target] for row in train).most_common(1)
    return [{"text": text}] * len(test)

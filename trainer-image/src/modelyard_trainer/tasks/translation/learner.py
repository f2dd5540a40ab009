"""Encoder-decoder models of the transformers library, from a base or from scratch."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from modelyard_trainer.errors import bad_base
from modelyard_trainer.graphs import torch_graphs
from modelyard_trainer.run import TrainRun
from modelyard_trainer.tasks import learning, text_base
from modelyard_trainer.tasks.protocols import Answer, Fields, Part, Reading
from modelyard_trainer.tasks.translation import scratch
from modelyard_trainer.tasks.translation.codec import Ends, Generated, Translator

ADAPTER_TASK = "SEQ_2_SEQ_LM"
LINEAR_PROBE = False
items = learning.numbers_that_count


def fit(run: TrainRun) -> Translator:
    """The codec for the base's tokenizer, or for one that is learned from the training rows."""
    if run.config.base is None and not run.part:
        return scratch.fit(run)
    from transformers import __version__
    from transformers.models.auto.modeling_auto import MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES as TRANSLATORS

    config = text_base.read_config(run.base)
    if config.model_type not in TRANSLATORS:
        raise bad_base(
            f"spec.from.base is a model of type '{config.model_type}', which transformers {__version__} has no encoder "
            "with a decoder for: choose a model such as marian, t5, bart or mbart"
        )
    reader = text_base.fit_reader(run, config)
    if run.parent is not None:
        ends = Ends(**run.parent.codec["ends"])
        return scratch.bounded(Translator(reader, ends), run.rows["train"], ends.most)
    last = config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
    start = config.decoder_start_token_id
    if start is None or None in last:
        raise bad_base("config.json of spec.from.base has no decoder_start_token_id or no eos_token_id: add them")
    return scratch.bounded(Translator(reader, Ends(start, last, reader.max_length)), run.rows["train"])


def load_model(run: TrainRun, codec: Translator) -> tuple[Any, list[str]]:
    """A torch model in fp32, and the names of weights that the folder did not bring.

    Attention is computed in single steps: the fused kernels of T5 cannot be written as ONNX.
    """
    from transformers import AutoModelForSeq2SeqLM

    if run.config.base is None and not run.part:
        return scratch.model(run, codec), []
    settings = {"attn_implementation": "eager"}
    return text_base.load_pretrained(AutoModelForSeq2SeqLM, run.base, codec.reader.pad_id, **settings)


def guessing(codec: Translator) -> float:
    """Of tokens that are all as likely."""
    return math.log(codec.reader.tokenizer.get_vocab_size())


def targets(codec: Translator, row: Fields, reading: Reading) -> np.ndarray:
    """Token ids of the translation, which a row of the run was read with."""
    known = codec.target_ids(row["target"]) if reading.kept is None else reading.kept
    ids: np.ndarray = np.asarray(known, dtype=np.int64)
    return ids


def augmented(
    codec: Translator, reading: Reading, target: np.ndarray, draw: np.random.Generator
) -> tuple[Reading, np.ndarray]:
    """As it is, or, where the codec says so, with the translation in place of the text: so names are kept."""
    if codec.copied and draw.random() < codec.copied:
        return Reading({"input_ids": target.astype(np.int32)}, len(target)), target
    return reading, target


def collate(codec: Translator, readings: Sequence[Reading], targets: Sequence[np.ndarray]) -> dict[str, Any]:
    """Token ids and mask of the text, token ids of the translation."""
    return learning.with_sequences(codec, readings, targets, max(map(len, targets)))


def judged(
    model: Any, inputs: Mapping[str, Any], codec: Translator, readings: Sequence[Reading]
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


def baselines(codec: Translator) -> Mapping[str, Callable[[Sequence[Fields], Sequence[Fields]], list[Answer]]]:
    """The commonest translation for every text, and each text as its own translation."""
    return {"commonest_target": commonest_target, "copy_source": copied}


def commonest_target(train: Sequence[Fields], test: Sequence[Fields]) -> list[Answer]:
    """The translation that most training rows have."""
    (text, _), *_ = Counter(row["target"] for row in train).most_common(1)
    return [{"text": text}] * len(test)


def copied(train: Sequence[Fields], test: Sequence[Fields]) -> list[Answer]:
    """Each text as it is."""
    return [{"text": row["source"]} for row in test]

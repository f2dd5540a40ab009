"""How a version reads texts: prepared, cut into tokens, padded. Shared by the tasks whose instances hold a text."""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from modelyard.api.dataset import Clean
from modelyard_trainer.data.clean import prepared
from modelyard_trainer.tasks.protocols import Arrays, Fields, Instance, Packed, Reading

if TYPE_CHECKING:
    from tokenizers import Tokenizer

KEY = "text"
TOKENIZER = "tokenizer.json"
ODD = ("", " ", "\0", "</s>", "<s> </s> </s>", "[CLS] [SEP] [PAD] [MASK]", "<|endoftext|>", "\u200b", "9" * 10_000)
"""Texts that no row holds but some request will."""
WIDE = {code: code + 0xFEE0 for code in range(0x21, 0x7F)} | {0x20: 0x3000}
LONGEST_TRIED = 1024
"""Tokens of the long row that a model is tried on; more would cost memory that training on a GPU does not need here."""
SAMPLE_CHARACTERS = 1000
UNSPACED = (
    "\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf"
    "\u2e80-\u2fdf\u3001-\u312f\u31a0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
"""Scripts that put no spaces between words: Han, kana, and those of south-east Asia."""


def parse(value: Any) -> str:
    """The text of one instance: {"text": ...}, a string or its UTF-8 bytes; ValueError says what it is instead."""
    if isinstance(value, dict):
        if KEY not in value:
            raise ValueError(f"has no '{KEY}'")
        value = value[KEY]
    return text_of(value)


def fields(value: Any, keys: Sequence[str]) -> dict[str, str]:
    """The texts of an instance that holds several, by name; ValueError says which is missing or no text."""
    if not isinstance(value, dict):
        named = ", ".join(f'"{key}": "..."' for key in keys)
        raise ValueError(f"must be {{{named}}}, not {type(value).__name__}")
    found = {}
    for key in keys:
        if key not in value:
            raise ValueError(f"has no '{key}'")
        try:
            found[key] = text_of(value[key])
        except ValueError as fault:
            raise ValueError(f"is wrong in '{key}': it {fault}") from fault
    return found


def text_of(value: Any) -> str:
    """A string or its UTF-8 bytes; ValueError says what it is instead."""
    try:
        text = value.decode() if isinstance(value, bytes) else value
        if isinstance(text, str) and text.encode() is not None:
            return text
    except UnicodeError as fault:
        raise ValueError(f"holds a text that is not valid Unicode: {fault}") from fault
    raise ValueError(f"must be a string, not {type(value).__name__}")


class TextReader:
    """Texts as a version's model reads them; threads may share it, for the tokenizer cuts but never pads."""

    one_size: int | None = None

    def __init__(
        self,
        tokenizer: Tokenizer,
        pad_id: int,
        max_length: int,
        prepare: Sequence[Clean],
        beside: dict[str, dict[str, Any]] | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        self.pad_id = pad_id
        self.max_length = max_length
        self.prepare = list(prepare)
        self._beside = beside or {}

    @classmethod
    def load(cls, folder: Path, settings: dict[str, Any]) -> TextReader:
        """From a version's folder and what `save` gave."""
        steps = [Clean.model_validate(step) for step in settings["prepare"]]
        tokenizer = load_tokenizer(folder, settings["maxLength"])
        pad_id = int((tokenizer.padding or {}).get("pad_id", 0))
        tokenizer.no_padding()
        return cls(tokenizer, pad_id, settings["maxLength"], steps)

    def save(self, folder: Path) -> dict[str, Any]:
        """Leave tokenizer.json with the length and padding of training, and what other libraries read beside it."""
        pad_token = self.tokenizer.id_to_token(self.pad_id) or ""
        self.tokenizer.enable_padding(pad_id=self.pad_id, pad_token=pad_token)
        self.tokenizer.save(str(folder / TOKENIZER))
        self.tokenizer.no_padding()
        for name, content in self._beside.items():
            (folder / name).write_text(json.dumps({**content, "pad_token": pad_token}, indent=1))
        return {"maxLength": self.max_length, "prepare": [step.dump() for step in self.prepare]}

    def texts(self, values: Sequence[Any]) -> list[str]:
        """The texts that the tokenizer gets; rows of training and requests go through here alike."""
        return [prepared(parse(value), self.prepare) for value in values]

    def read(self, values: Sequence[Any]) -> list[Reading]:
        """Token ids per text, special tokens included."""
        return [as_reading(ids, cut) for ids, cut in self.ids(self.texts(values))]

    def packed(self, reading: Reading, row: Fields) -> Packed:
        """Token ids."""
        return reading.inputs

    def unpacked(self, packed: Packed, instance: Callable[[], Instance]) -> Reading:
        """From token ids alone."""
        return as_reading(packed["input_ids"])

    def ids(self, texts: Sequence[str]) -> list[tuple[list[int], bool]]:
        """Token ids per text, special tokens included, without padding, and whether the text was cut."""
        most = self.tokenizer.truncation["max_length"] if self.tokenizer.truncation else math.inf
        # Only a full row may have been cut, and what was cut off is costly to look at.
        return [
            (ids := encoding.ids, len(ids) >= most and bool(encoding.overflowing))
            for encoding in self.tokenizer.encode_batch_fast(list(texts))
        ]

    def batch(self, readings: Sequence[Reading]) -> Arrays:
        """int64 arrays input_ids and attention_mask of shape (rows, longest row)."""
        return pad([reading.inputs["input_ids"] for reading in readings], self.pad_id)

    def as_sent(self, text: str) -> str:
        """The text in a form that preparation undoes: full-width or decomposed letters, spaces around it."""
        return as_sent(text, self.prepare)

    def extremes(self, readings: Sequence[Reading]) -> list[Reading]:
        """A row as long as the run allows, made of a real one's tokens between its ends, and a short one."""
        known = sorted(readings, key=lambda reading: reading.size)
        row = known[-1].inputs["input_ids"]
        if len(row) <= 2:
            row = np.full(3, self.pad_id, dtype=np.int32)
        length = max(3, min(self.max_length, LONGEST_TRIED))
        inside: np.ndarray = np.resize(row[1:-1], length - 2)
        return [as_reading(np.concatenate([row[:1], inside, row[-1:]])), known[0]]


def as_sent(text: str, prepare: Sequence[Clean]) -> str:
    """The text in a form that preparation undoes: full-width or decomposed letters, spaces around it."""
    forms = (f"\u3000{text.translate(WIDE)}\n", f" {unicodedata.normalize('NFD', text)}\n", f" {text}\n")
    wanted = prepared(text, prepare)
    return next((form for form in forms if prepared(form, prepare) == wanted), text)


def as_reading(ids: Sequence[int] | np.ndarray, cut: bool = False) -> Reading:
    """A row of token ids."""
    return Reading({"input_ids": np.asarray(ids, dtype=np.int32)}, len(ids), cut)


def short(instance: Instance) -> Instance:
    """The instance with a text of bounded length, to be kept as a version's sample."""
    return {**instance, KEY: instance[KEY][:SAMPLE_CHARACTERS]}


def load_tokenizer(folder: Path, max_length: int) -> Tokenizer:
    """The folder's tokenizer.json, cutting at max_length tokens; padding is left to `pad`.

    What looks like a special token in a text ("</s>", "[SEP]") is text like any other.
    """
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    tokenizer.encode_special_tokens = True
    _break_up_pieces(tokenizer)
    tokenizer.enable_truncation(max_length)
    return tokenizer


def _break_up_pieces(tokenizer: Tokenizer) -> None:
    """Sentencepiece lists special tokens among its pieces, so a text could still spell them: put a space inside."""
    from tokenizers import normalizers

    special = [
        (number, token.content) for number, token in tokenizer.get_added_tokens_decoder().items() if token.special
    ]
    spelt = [text for number, text in special if number in tokenizer.encode(text, add_special_tokens=False).ids]
    if spelt:
        before = [] if tokenizer.normalizer is None else [tokenizer.normalizer]
        broken = [normalizers.Replace(text, f"{text[:1]} {text[1:]}") for text in spelt]
        tokenizer.normalizer = normalizers.Sequence([*before, *broken])


def pad(rows: Sequence[Sequence[int] | np.ndarray], pad_id: int) -> Arrays:
    """int64 arrays input_ids and attention_mask of shape (rows, longest row); a row of no tokens reads one pad."""
    longest = max((len(row) for row in rows), default=1) or 1
    ids: np.ndarray = np.full((len(rows), longest), pad_id, dtype=np.int64)
    mask: np.ndarray = np.zeros((len(rows), longest), dtype=np.int64)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = row
        mask[index, : len(row) or 1] = 1
    return {"input_ids": ids, "attention_mask": mask}

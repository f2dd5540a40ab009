"""How a version reads conversations: rendered by its template, cut into tokens; which of them are learned."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelyard.api.dataset import Clean
from modelyard_trainer.data.clean import prepared
from modelyard_trainer.tasks.text_generation.chat import SETTINGS, STARTS, Chat, broken_up
from modelyard_trainer.tasks.text_generation.rows import ASSISTANT, TEXT, Messages
from modelyard_trainer.tasks.texts import TOKENIZER

if TYPE_CHECKING:
    from tokenizers import Tokenizer

ROOM = 4
"""One part in so many of a row is left for the prompt where an answer alone would fill it."""
PROBE = [{"role": "user", "content": "a"}, {"role": ASSISTANT, "content": "b"}]


@dataclass(frozen=True)
class Limits:
    """Lengths in tokens."""

    row: int
    """Of a row in training."""
    context: int
    """Of prompt and answer together when the version answers."""


@dataclass(frozen=True)
class Tokens:
    """A row's token ids, and which of them are learned; the first never is, for nothing is before it."""

    ids: list[int]
    learned: list[bool]
    cut: bool = False


class ChatReader:
    """Conversations as a version's model reads them; threads may share it."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        chat: Chat,
        ends: Sequence[int],
        limits: Limits,
        prepare: Sequence[Clean],
        beside: Mapping[str, Any] | None = None,
    ) -> None:
        self.tokenizer, self.chat, self.limits, self.prepare = tokenizer, chat, limits, list(prepare)
        self._beside = beside or {}
        """What other libraries read beside tokenizer.json, by name."""
        self.ends = list(ends)
        """Tokens after which an answer is complete; the first one is put where the template has none."""
        special = [token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special]
        self._spelt = sorted({*special, STARTS}, key=len, reverse=True)

    @classmethod
    def load(cls, folder: Path, settings: dict[str, Any]) -> ChatReader:
        """From a version's folder and what `save` gave."""
        steps = [Clean.model_validate(step) for step in settings["prepare"]]
        limits = Limits(settings["maxLength"], settings["context"])
        return cls(opened(folder), Chat.load(folder, settings["chat"]), settings["ends"], limits, steps)

    def save(self, folder: Path) -> dict[str, Any]:
        """Leave tokenizer and template; the settings that `load` needs."""
        self.tokenizer.save(str(folder / TOKENIZER))
        for name, content in self._beside.items():
            (folder / name).write_text(json.dumps(content, indent=1))
        return {
            "maxLength": self.limits.row,
            "context": self.limits.context,
            "prepare": [step.dump() for step in self.prepare],
            "ends": self.ends,
            "chat": self.chat.save(folder, self._beside.get(SETTINGS, {})),
        }

    def prompt(self, messages: Messages) -> list[int]:
        """Token ids up to where the next answer begins."""
        return self._ids(self.chat.render(self._said(messages), answer=True))

    def plain(self, text: str) -> list[int]:
        """Token ids of a text that is to go on, with what the tokenizer puts before it."""
        ids: list[int] = self.tokenizer.encode(self._text(text)).ids
        while len(ids) > 1 and ids[-1] in self.ends:
            ids = ids[:-1]
        return ids or [self.ends[0]]

    def whole(self, messages: Messages) -> Tokens:
        """A row: its tokens and which are learned, cut at the length of rows."""
        if [message["role"] for message in messages] == [TEXT]:
            ids = [*self.plain(messages[0]["content"]), self.ends[0]]
            return Tokens(ids[: self.limits.row], _after_first(len(ids))[: self.limits.row], len(ids) > self.limits.row)
        return self._cut(self._answers(self._said(messages)) or self._last_answer(self._said(messages)))

    def _answers(self, messages: Messages) -> Tokens | None:
        """Every answer is learned, with the token that ends it; None if a part reads otherwise than in the whole."""
        ids = self._ids(self.chat.render(messages, answer=False))
        learned = [False] * len(ids)
        for at in (at for at, message in enumerate(messages) if message["role"] == ASSISTANT):
            before = self._ids(self.chat.render(messages[:at], answer=True))
            until = self._ids(self.chat.render(messages[: at + 1], answer=False)) if at + 1 < len(messages) else ids
            if ids[: len(before)] != before or ids[: len(until)] != until or len(until) <= len(before):
                return None
            length = self._ended(until[len(before) :])
            learned[len(before) : len(before) + length] = [True] * length
        return self._closed(ids, learned)

    def _last_answer(self, messages: Messages) -> Tokens:
        """The last answer alone, after its prompt as it is asked for: a template may write history otherwise."""
        before = self._ids(self.chat.render(messages[:-1], answer=True))
        said = self.tokenizer.encode(messages[-1]["content"], add_special_tokens=False).ids
        return Tokens([*before, *said, self.ends[0]], [False] * len(before) + [True] * (len(said) + 1))

    def _ended(self, answer: Sequence[int]) -> int:
        """Tokens of an answer with the one that ends it; what the template puts behind it is not the answer's."""
        return next((number for number, token in enumerate(answer, 1) if token in self.ends), len(answer))

    def _closed(self, ids: list[int], learned: list[bool]) -> Tokens:
        """Up to the end of the last answer; an end is added where the template has none."""
        last = len(learned) - learned[::-1].index(True)
        if ids[last - 1] in self.ends:
            return Tokens(ids[:last], learned[:last])
        return Tokens([*ids[:last], self.ends[0]], [*learned[:last], True])

    def _cut(self, found: Tokens) -> Tokens:
        """The end of a row that is too long, for it holds the question; of a very long answer its beginning.

        An answer whose beginning is cut off is not learned: what it answers is gone, and so is how it begins.
        """
        most, ids, learned = self.limits.row, found.ids, found.learned
        if len(ids) <= most:
            return found
        start = len(ids) - [*learned[::-1], False].index(False)
        stop = min(len(ids), start + most - most // ROOM)
        ids, learned = ids[max(0, stop - most) : stop], learned[max(0, stop - most) : stop]
        lost = [*learned, False].index(False)
        return Tokens(ids, [False] * lost + learned[lost:], cut=True)

    def _said(self, messages: Messages) -> Messages:
        return [{**message, "content": self._text(message["content"])} for message in messages]

    def _text(self, text: str) -> str:
        return broken_up(prepared(text, self.prepare), self._spelt)

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return ids


def _after_first(count: int) -> list[bool]:
    return [number > 0 for number in range(count)]


def opened(folder: Path) -> Tokenizer:
    """The folder's tokenizer.json: it reads special tokens where the template writes them, and cuts nothing."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def with_end_of(reader: ChatReader) -> ChatReader:
    """With the token that the template puts behind an answer first; TemplateFault if it refuses a short one."""
    prompt, whole = reader.chat.render(PROBE[:1], True), reader.chat.render(PROBE, False)
    if not whole.startswith(prompt):
        return reader
    ids = reader.tokenizer.encode(whole[len(prompt) :], add_special_tokens=False).ids
    special = {number for number, token in reader.tokenizer.get_added_tokens_decoder().items() if token.special}
    first = next((token for token in ids if token in special), reader.ends[0])
    ends = [first, *(token for token in reader.ends if token != first)]
    reader.ends = ends
    return reader

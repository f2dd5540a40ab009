"""Rows of a conversation, in one form whatever the source calls it; and of a text that is learned as it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from modelyard.api.dataset import Clean
from modelyard.api.tasks import TASKS
from modelyard_trainer.data.clean import normal
from modelyard_trainer.data.rows import same_text
from modelyard_trainer.tasks.cells import plain
from modelyard_trainer.tasks.protocols import Fields, Instance

if TYPE_CHECKING:
    import pyarrow as pa

MESSAGES = "messages"
SYSTEM, USER, ASSISTANT, TEXT = "system", "user", "assistant", "text"
"""Roles; a row of a single message with the role `text` is no conversation: all of it is learned."""
ROLES = {
    **{name: SYSTEM for name in ("system", "developer")},
    **{name: USER for name in ("user", "human", "prompter")},
    **{name: ASSISTANT for name in ("assistant", "gpt", "bot", "model", "chatgpt")},
}
"""What sources call the roles."""
NO_ANSWER, WRONG_ORDER = "unanswered", "misordered"
"""Why a conversation is left out, beside being empty."""
Messages = list[dict[str, str]]
FORM = 'write [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]'


def schema() -> pa.Schema:
    """Messages in their order: who says what."""
    import pyarrow as pa

    return pa.schema([(MESSAGES, pa.list_(pa.struct([("content", pa.string()), ("role", pa.string())])))])


def fields(record: Mapping[str, Any], columns: Mapping[str, str]) -> Fields | str | None:
    """The row of a record, by the first form whose columns it has; or why it is left out."""
    named = columns.get(MESSAGES)
    if named is not None:
        return _row(turns(named, record.get(named)))
    for form in TASKS["text-generation"].forms:
        if all(name in record for name in form):
            return _row(READERS[form](record))
    forms = ", ".join(" and ".join(form) for form in TASKS["text-generation"].forms)
    raise ValueError(
        f"the row has the columns {', '.join(sorted(map(str, record)))}, but needs those of one form ({forms}): name "
        "in spec.source.columns.messages the one that holds the conversation"
    )


def turns(column: str, value: Any) -> Messages:
    """Messages of a cell: a list of {role, content} or {from, value}, or JSON of it; none where it is empty."""
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.strip() else None
        except ValueError as fault:
            raise ValueError(f"column {column} is not JSON ({fault}): {FORM}") from fault
    if value is None or value != value:
        return []
    if not isinstance(value, Sequence):
        raise ValueError(f"column {column} is {type(value).__name__}, not a list: {FORM}")
    return [_turn(column, number, one) for number, one in enumerate(value, 1)]


def _turn(column: str, number: int, value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise ValueError(f"column {column}: message {number} is {type(value).__name__}: {FORM}")
    role, content = ("from", "value") if "from" in value and "role" not in value else ("role", "content")
    said = value.get(content)
    if isinstance(said, list):  # parts, of which those with a text are read
        said = "".join(str(part.get("text", "")) for part in said if isinstance(part, Mapping))
    name = plain(f"{column}: {role}", value.get(role))
    return {"role": ROLES.get(name.strip().lower(), name), "content": plain(f"{column}: {content}", said)}


def _asked(record: Mapping[str, Any]) -> Messages:
    """Prompt and completion; each may be a list of messages, too."""
    prompt, answer = record["prompt"], record["completion"]
    asked = turns("prompt", prompt) if isinstance(prompt, list) else [_said(USER, "prompt", prompt)]
    given = turns("completion", answer) if isinstance(answer, list) else [_said(ASSISTANT, "completion", answer)]
    return asked + given


def _instructed(record: Mapping[str, Any]) -> Messages:
    """Instruction, what it is about if anything, and the answer."""
    parts = [plain(name, record.get(name)) for name in ("instruction", "input")]
    asked = "\n\n".join(part for part in parts if part.strip())
    return [{"role": USER, "content": asked}, _said(ASSISTANT, "output", record["output"])]


def _said(role: str, column: str, value: Any) -> dict[str, str]:
    return {"role": role, "content": plain(column, value)}


READERS: dict[tuple[str, ...], Callable[[Mapping[str, Any]], Messages]] = {
    ("messages",): lambda record: turns("messages", record["messages"]),
    ("conversations",): lambda record: turns("conversations", record["conversations"]),
    ("prompt", "completion"): _asked,
    ("instruction", "output"): _instructed,
    ("text",): lambda record: [_said(TEXT, "text", record["text"])],
}
"""How each form of the table of tasks is read."""


def _row(messages: Messages) -> Fields | str | None:
    """The row of a conversation up to its last answer; why it is none."""
    while len(messages) > 1 and messages[-1]["role"] == USER and any(m["role"] == ASSISTANT for m in messages):
        messages = messages[:-1]
    return fault_of(messages) or {MESSAGES: messages}


def fault_of(messages: Messages) -> str | None:
    """Why a conversation is of no use: empty, unanswered, misordered; None if it may be learned from."""
    if not messages or not all(message["content"].strip() for message in messages):
        return "empty"
    roles = [message["role"] for message in messages]
    if roles == [TEXT]:
        return None
    if ASSISTANT not in roles:
        return NO_ANSWER if set(roles) <= set(ROLES.values()) else WRONG_ORDER
    return None if in_order(roles) and roles[-1] == ASSISTANT else WRONG_ORDER


def in_order(roles: Sequence[str]) -> bool:
    """Whether user and assistant speak in turn, after what the system says if it says anything."""
    spoken = list(roles[1:] if roles[:1] == [SYSTEM] else roles)
    return all(role == (ASSISTANT if at % 2 else USER) for at, role in enumerate(spoken))


def cleaned(row: Fields, step: Clean) -> Fields | str:
    """All that is said in the step's Unicode form, or why the row is removed."""
    messages = [{**message, "content": normal(message["content"], step)} for message in row[MESSAGES]]
    if not all(message["content"] for message in messages):
        return "empty"
    short = sum(len(message["content"]) for message in messages) < step.min_chars
    return "short" if short else {MESSAGES: messages}


def same(row: Fields) -> bytes:
    """Conversations that differ only in their last answer ask the same, whatever their case and spacing."""
    messages = row[MESSAGES] if len(row[MESSAGES]) == 1 else row[MESSAGES][:-1]
    return "\0".join(f"{message['role']}\0{same_text(message['content'])}" for message in messages).encode()


def classes(row: Fields) -> tuple[str, ...]:
    """None: conversations have no classes."""
    return ()


def relabelled(row: Fields, spelt: Mapping[str, str]) -> Fields:
    """The row as it is."""
    return row


def instance(row: Fields) -> Instance:
    """The whole conversation, its last answer too: such a request asks how likely the answers are."""
    return {MESSAGES: row[MESSAGES]}

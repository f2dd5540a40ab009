"""How a conversation becomes one text: by the base's own chat template, or by a default one; without torch.

Rendered as the transformers library does, in jinja2's sandbox: a template is data of a stranger.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

from modelyard_trainer.tasks.text_generation.rows import Messages

SETTINGS = "tokenizer_config.json"
FILE = "chat_template.jinja"
"""Where the library keeps a template beside tokenizer_config.json; older releases kept it inside."""
OWN, CHATML = "own", "chatml"
STARTS = "<|im_start|>"
DEFAULT = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + eos_token + '\\n'"
    " }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
"""ChatML, with the base's own token where an answer ends."""
LONGEST = 1 << 20
"""Characters of a template."""
Special = dict[str, str]
"""Special tokens that templates know by name: bos_token, eos_token ..."""


class TemplateFault(ValueError):
    """The template cannot be read, or refuses a conversation."""


@dataclass(frozen=True)
class Chat:
    """A template with what it needs."""

    template: str
    special: Special
    name: str = OWN
    """own: the base brought it; else the name of the default that took its place."""
    day: date = field(default_factory=date.today)
    """What templates that ask for it are told: the day of the training, so that a version reads alike for ever."""

    def render(self, messages: Messages, answer: bool) -> str:
        """The conversation as one text; `answer`: up to where the next answer begins. TemplateFault if refused."""
        try:
            text = self._compiled.render(messages=messages, add_generation_prompt=answer, **self.special)
        except Exception as fault:
            raise TemplateFault(
                f"the chat template refuses the conversation ({type(fault).__name__}: {fault})"
            ) from fault
        return str(text)

    @cached_property
    def _compiled(self) -> Any:
        try:
            return _environment(self.day).from_string(self.template)
        except Exception as fault:
            raise TemplateFault(f"the chat template cannot be read ({type(fault).__name__}: {fault})") from fault

    def save(self, folder: Path, beside: Mapping[str, Any]) -> dict[str, Any]:
        """Leave the template in tokenizer_config.json, where other libraries look for it; the settings for `load`."""
        content = {**self.special, **beside, "chat_template": self.template}
        (folder / SETTINGS).write_text(json.dumps(content, indent=1), encoding="utf-8")
        return {"name": self.name, "special": self.special, "day": self.day.isoformat()}

    @classmethod
    def load(cls, folder: Path, settings: dict[str, Any]) -> Chat:
        """From a version's folder and what `save` gave."""
        template = _template(folder)
        if template is None:
            raise ValueError(f"{SETTINGS} has no chat_template")
        return cls(template, settings["special"], settings["name"], date.fromisoformat(settings["day"]))


def chat_of(base: Path, special: Special) -> Chat:
    """The base's template, or ChatML where it has none; TemplateFault if it cannot be read."""
    template = _template(base)
    if template is None:
        return Chat(DEFAULT, special, CHATML)
    if len(template) > LONGEST:
        raise TemplateFault(f"the chat template has {len(template)} characters: at most {LONGEST} are read")
    return Chat(template, special)


def _template(base: Path) -> str | None:
    if (base / FILE).exists():
        return (base / FILE).read_text(encoding="utf-8")
    found = _settings(base).get("chat_template")
    if isinstance(found, list):  # several by name
        found = {one.get("name"): one.get("template") for one in found if isinstance(one, dict)}.get("default")
    return found if isinstance(found, str) and found.strip() else None


def special_of(base: Path) -> Special:
    """Special tokens that the base's settings name, as templates are given them."""
    found = {name: value for name, value in _settings(base).items() if name.endswith("_token")}
    plain = {name: value.get("content") if isinstance(value, dict) else value for name, value in found.items()}
    return {name: value for name, value in plain.items() if isinstance(value, str)}


def _settings(base: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in ("special_tokens_map.json", SETTINGS):
        if (base / name).exists():
            found |= json.loads((base / name).read_text(encoding="utf-8"))
    return found


def broken_up(text: str, spelt: Sequence[str]) -> str:
    """The text with a space inside whatever looks like a token of the template: what people write stays text."""
    for token in spelt:
        text = text.replace(token, f"{token[:1]} {token[1:]}")
    return text


def _environment(day: date) -> Any:
    """As the library's: the same filters and functions."""
    from jinja2 import TemplateError, nodes
    from jinja2.exceptions import SecurityError
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment
    from jinja2.utils import Namespace

    class Generation(Extension):  # type: ignore[misc]
        """Blocks that mark answers for the library: here only what is in them counts."""

        tags = {"generation"}

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.Scope(body).set_lineno(line)

    def refuse(message: str) -> None:
        raise TemplateError(message)

    def tojson(value: Any, ensure_ascii: bool = False, **settings: Any) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, **settings)

    class Guarded(Namespace):  # type: ignore[misc]
        """Names with an underscore lead to what the sandbox keeps away."""

        def __setitem__(self, name: str, value: Any) -> None:
            if name.startswith("_"):
                raise SecurityError(f"a namespace has no {name}")
            super().__setitem__(name, value)

    made = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
    made.filters["tojson"] = tojson
    made.globals["raise_exception"] = refuse
    made.globals["namespace"] = Guarded
    made.globals["strftime_now"] = day.strftime
    return made

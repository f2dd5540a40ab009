"""What all codecs have in common whose instance is one text, read as it stands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from modelyard_trainer.tasks import texts
from modelyard_trainer.tasks.protocols import Arrays, Fields, Instance, Packed, Reading
from modelyard_trainer.tasks.texts import TextReader


class TextCodec:
    """Texts as a version's model reads them."""

    keys: tuple[str, ...] = (texts.KEY,)
    one_size: int | None = None

    def __init__(self, reader: TextReader) -> None:
        self.reader = reader
        self.parse = texts.parse
        self.read, self.extremes = reader.read, reader.extremes

    def packed(self, reading: Reading, row: Fields) -> Packed:
        """Token ids."""
        return self.reader.packed(reading, row)

    def unpacked(self, packed: Packed, instance: Callable[[], Instance]) -> Reading:
        """From token ids alone."""
        return self.reader.unpacked(packed, instance)

    def batch(self, readings: Sequence[Reading]) -> Arrays:
        """Token ids and mask."""
        return self.reader.batch(readings)

    def as_sent(self, instance: Instance) -> Instance:
        """The text as people send it."""
        return {**instance, texts.KEY: self.reader.as_sent(instance[texts.KEY])}

    def sample(self, instance: Instance) -> Instance:
        """The text, of bounded length."""
        return texts.short(instance)

    def odd(self) -> list[Instance]:
        """Texts that no row holds but some request will."""
        return [{texts.KEY: text} for text in texts.ODD]

    def save(self, folder: Path) -> dict[str, Any]:
        """The tokenizer's files; how texts are read."""
        return self.reader.save(folder)

"""Prepared rows as Parquet files of bounded size: <split>-00000.parquet, <split>-00001.parquet, ..."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelyard.api.dataset import Clean
from modelyard_trainer.data.rows import Digest

if TYPE_CHECKING:
    import pyarrow as pa

    from modelyard_trainer.tasks.protocols import Fields

GROUP_ROWS, GROUP_BYTES = 8192, 8 << 20
"""A row group, which is what is in memory at once on writing and on reading, ends at whichever comes first."""
SHARD_BYTES = 256 << 20
"""Content of a shard before compression."""


def shard_name(split: str, number: int) -> str:
    """Name of a split's file."""
    return f"{split}-{number:05d}.parquet"


def shards_of(names: Iterable[str]) -> dict[str, list[str]]:
    """The files of each split in order, of the files of a prepared dataset; ValueError if one is missing."""
    found: dict[str, list[str]] = {}
    for name in sorted(names):
        split = name.rpartition("-")[0]
        shards = found.setdefault(split, [])
        if name != shard_name(split, len(shards)):
            raise ValueError(f"{shard_name(split, len(shards))} is missing, or {name} is none of its files")
        shards.append(name)
    return found


class Shards:
    """Writes rows in the order in which they come; the same rows give the same bytes."""

    def __init__(
        self, folder: Path, schema: pa.Schema, prepare: Iterable[Clean], shard_bytes: int = SHARD_BYTES
    ) -> None:
        self._folder, self._schema, self._shard_bytes = folder, schema, shard_bytes
        self._digest = Digest(prepare)
        self._files: dict[str, _Files] = {}

    def add(self, split: str, row: Fields) -> None:
        """The next row of a split."""
        if split not in self._files:
            self._files[split] = _Files(self._folder, split, self._schema, self._digest, self._shard_bytes)
        self._files[split].add(row)

    def close(self) -> str:
        """Complete all files; gives the digest of the rows as they will be read."""
        for files in self._files.values():
            files.close()
        return str(self._digest)


class _Files:
    """The files of one split."""

    def __init__(self, folder: Path, split: str, schema: pa.Schema, digest: Digest, shard_bytes: int) -> None:
        self._folder, self._split, self._schema, self._digest = folder, split, schema, digest
        self._shard_bytes = shard_bytes
        self._rows: list[Fields] = []
        self._held = self._written = self._number = 0
        self._writer: Any = None

    def add(self, row: Fields) -> None:
        self._rows.append(row)
        self._held += sum(len(value) if isinstance(value, str | bytes) else len(str(value)) for value in row.values())
        if self._held >= GROUP_BYTES or len(self._rows) >= GROUP_ROWS:
            self._write()

    def close(self) -> None:
        if self._rows:
            self._write()
        self._end()

    def _write(self) -> None:
        import pyarrow as pa

        if self._writer and self._written + self._held > self._shard_bytes:
            self._end()
        batch = pa.RecordBatch.from_pylist(self._rows, self._schema)
        # As the trainer will read them: numbers may have lost what their type does not hold.
        self._digest.add(self._split, batch.to_pylist())
        self._open().write_batch(batch, row_group_size=len(self._rows))
        self._written += self._held
        self._rows, self._held = [], 0

    def _open(self) -> Any:
        from pyarrow import parquet

        if self._writer is None:
            path = self._folder / shard_name(self._split, self._number)
            self._writer = parquet.ParquetWriter(path, self._schema, compression="zstd", write_statistics=False)
        return self._writer

    def _end(self) -> None:
        if self._writer:
            self._writer.close()
            self._writer, self._written, self._number = None, 0, self._number + 1

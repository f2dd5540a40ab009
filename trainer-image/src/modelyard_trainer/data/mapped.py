"""Prepared rows as the trainer reads them: mapped into memory by the system, as little of them as is looked at."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:
    import pyarrow as pa

    from modelyard_trainer.tasks.protocols import Fields

SLICE = 1024
"""Rows that become Python objects at once when all are read in order."""


def unpacked(shards: Sequence[Path], schema: pa.Schema) -> MappedRows:
    """The rows of Parquet files, which give way to files of the same rows that can be mapped.

    ValueError if a file is no Parquet, or holds other columns or types.
    """
    import pyarrow as pa

    try:
        return MappedRows([_unpacked(shard, schema) for shard in shards])
    except (pa.ArrowException, OSError) as fault:
        if isinstance(fault, OSError) and fault.errno:  # the disk's, not the file's
            raise
        raise ValueError(str(fault)) from fault


def _unpacked(shard: Path, schema: pa.Schema) -> Path:
    import pyarrow as pa
    from pyarrow import parquet

    path = shard.with_suffix(".arrow")
    with parquet.ParquetFile(shard, pre_buffer=False) as file, pa.OSFile(str(path), "wb") as out:
        if not file.schema_arrow.equals(schema):
            raise ValueError(f"{shard.name} has the columns {file.schema_arrow}, not {schema}")
        with pa.ipc.new_file(out, schema) as writer:
            for group in range(file.num_row_groups):
                writer.write_table(file.read_row_group(group, use_threads=False))
    shard.unlink()
    return path


class Mapped:
    """What Arrow files hold, by row. Pickled it is its paths alone: each process maps the files for itself."""

    def __init__(self, paths: Sequence[Path]) -> None:
        import pyarrow as pa

        self._paths = list(paths)
        self.batches: list[pa.RecordBatch] = []
        self._starts, total = list[int](), 0
        for path in self._paths:
            with pa.memory_map(str(path)) as source:
                reader = pa.ipc.open_file(source)
                for number in range(reader.num_record_batches):
                    batch = reader.get_batch(number)
                    self.batches.append(batch)
                    self._starts.append(total)
                    total += batch.num_rows
        self._total = total

    def __reduce__(self) -> tuple[type[Mapped], tuple[list[Path]]]:
        return type(self), (self._paths,)

    def __len__(self) -> int:
        return self._total

    @property
    def size(self) -> int:
        """Bytes of all rows."""
        return sum(batch.nbytes for batch in self.batches)

    def place(self, at: int) -> tuple[int, int]:
        """In which of the batches a row is, and where in it."""
        number = at + self._total if at < 0 else at
        if not 0 <= number < self._total:
            raise IndexError(f"row {at} of {self._total}")
        batch = bisect.bisect_right(self._starts, number) - 1
        return batch, number - self._starts[batch]


class MappedRows(Mapped, Sequence["Fields"]):
    """Prepared rows by number."""

    @overload
    def __getitem__(self, at: int) -> Fields: ...
    @overload
    def __getitem__(self, at: slice) -> list[Fields]: ...
    def __getitem__(self, at: int | slice) -> Fields | list[Fields]:
        if isinstance(at, slice):
            return [self[number] for number in range(*at.indices(len(self)))]
        number, offset = self.place(at)
        batch = self.batches[number]
        return {name: column[offset].as_py() for name, column in zip(batch.schema.names, batch.columns, strict=True)}

    def __iter__(self) -> Iterator[Fields]:
        for batch in self.batches:
            for start in range(0, batch.num_rows, SLICE):
                yield from batch.slice(start, SLICE).to_pylist()

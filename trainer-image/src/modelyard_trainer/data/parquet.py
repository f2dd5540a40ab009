"""Reads Parquet files in small batches, and of their columns only those that are asked for."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from modelyard_trainer.errors import bad_data

MAGIC = b"PAR1"
BATCH = 1024
"""Rows that are in memory at once, beside what the library keeps of a row group."""
PICTURES = 32
"""The same where a row holds a picture."""


def read_parquet(
    path: Path, wanted: Collection[str] | None, picture: str | None = None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Row numbers from 1 and cells by column; all columns when one of `wanted` is missing, so that it can be named.

    None wants all columns.

    `picture` is a column whose bytes stay as they are; it may hold {bytes, path} as Hugging Face datasets write them.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20) as file:
            names = file.schema_arrow.names
            _check_names(path, names, names if wanted is None else wanted)
            columns = None if wanted is None or not set(wanted) <= set(names) else list(wanted)
            number, size = 0, BATCH if picture is None else PICTURES
            for batch in file.iter_batches(size, columns=columns, use_threads=False):
                for record in batch.to_pylist():
                    number += 1
                    yield (
                        number,
                        {
                            name: _bytes(value) if name == picture else _plain(path, number, name, value)
                            for name, value in record.items()
                        },
                    )
    except (pa.ArrowException, OSError) as fault:
        text = str(fault).splitlines()[0] if str(fault) else type(fault).__name__
        raise bad_data(f"{path.name} is not a complete Parquet file ({text}): write or upload it again") from fault


def _check_names(path: Path, names: list[str], wanted: Collection[str]) -> None:
    for name in sorted(set(wanted)):
        if names.count(name) > 1:
            raise bad_data(f"{path.name} has the column {name} {names.count(name)} times: give each a name of its own")


def _bytes(value: Any) -> Any:
    return value.get("bytes") if isinstance(value, dict) else value


def _plain(path: Path, number: int, column: str, value: Any) -> Any:
    """What JSON could hold: dates and decimals are written out, bytes are text if they are UTF-8."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError as fault:
            raise bad_data(f"{path.name} row {number}: column {column} holds bytes that are not UTF-8 text") from fault
    if isinstance(value, list):
        return [_plain(path, number, column, one) for one in value]
    if isinstance(value, dict):
        return {name: _plain(path, number, column, one) for name, one in value.items()}
    if isinstance(value, datetime.date | datetime.time | datetime.timedelta | decimal.Decimal):
        return str(value)
    return value

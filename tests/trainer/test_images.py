"""Pictures as they come: every way to write colours is read, and what is none, too large or broken off is refused."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from modelyard_trainer.tasks import image_base, images

RAMP: np.ndarray = np.add.outer(np.arange(24), np.arange(40)).astype(np.uint8) * 4
GREY = Image.fromarray(RAMP)
COLOUR = Image.merge("RGB", (GREY, GREY.transpose(Image.Transpose.ROTATE_180), Image.new("L", GREY.size, 40)))


def png(picture: Image.Image, **settings: Any) -> bytes:
    return images.written(picture, **settings)


def pixels(data: bytes, mode: images.Mode) -> np.ndarray:
    found: np.ndarray = np.asarray(images.in_mode(images.opened(data), mode))
    return found


def lens(height: int = 24, width: int = 40, mode: images.Mode = "RGB", **settings: Any) -> images.Lens:
    channels = 3 if mode == "RGB" else 1
    return images.Lens(height, width, mode, (0.5,) * channels, (0.25,) * channels, **settings)


def test_deep_grey_keeps_its_upper_bits() -> None:
    deep = png(Image.fromarray(RAMP.astype(np.uint16) * 256 + 77))
    assert (pixels(deep, "L") == RAMP).all()
    assert (pixels(deep, "RGB") == RAMP[..., None]).all()


def test_a_palette_is_read_as_its_colours() -> None:
    painted = COLOUR.quantize(16)
    assert (pixels(png(painted), "RGB") == np.asarray(painted.convert("RGB"))).all()
    assert (pixels(png(painted), "L") == np.asarray(painted.convert("RGB").convert("L"))).all()


@pytest.mark.parametrize("kind", ["RGBA", "LA", "P"])
def test_what_shows_through_is_white(kind: str) -> None:
    clear = COLOUR.convert("RGBA")
    clear.putalpha(0)
    if kind == "P":
        data = png(COLOUR.quantize(2), transparency=bytes([0] * 256))
    else:
        data = png(clear if kind == "RGBA" else clear.convert("LA"))
    assert (pixels(data, "RGB") == 255).all()
    assert (pixels(data, "L") == 255).all()


def test_half_transparent_pixels_are_mixed() -> None:
    red = Image.new("RGBA", (4, 4), (255, 0, 0, 128))
    assert pixels(png(red), "RGB")[0, 0].tolist() == [255, 127, 127]


def test_cmyk_is_read_as_colours() -> None:
    data = images.written(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=95)
    assert np.abs(pixels(data, "RGB")[8, 8].astype(int) - [255, 0, 0]).max() < 12


@pytest.mark.parametrize("turn", range(1, 9))
def test_a_picture_is_turned_as_its_exif_says(turn: int) -> None:
    """The camera's own view of the scene, of which one corner is white, always gives the same picture."""
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    exif = Image.Exif()
    exif[0x0112] = turn
    seen = COLOUR.transpose(undo[turn]) if turn in undo else COLOUR
    assert (pixels(png(seen, exif=exif), "RGB") == np.asarray(COLOUR)).all()


@pytest.mark.parametrize("kind", images.FORMATS)
def test_each_format_is_read_and_known_by_its_start(kind: str) -> None:
    data = images.written(COLOUR, kind)
    assert images.is_picture(data)
    assert pixels(data, "RGB").shape == (24, 40, 3)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
@pytest.mark.parametrize("share", [0.2, 0.6, 0.95])
def test_a_file_that_breaks_off_is_refused(kind: str, share: float) -> None:
    noise: np.ndarray = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = images.written(Image.fromarray(noise), kind)
    with pytest.raises(ValueError, match=r"broken picture|no picture"):
        pixels(data[: int(share * len(data))], "RGB")


def test_flipped_bits_end_in_an_answer_or_a_value_error() -> None:
    chance, read = np.random.default_rng(3), lens()
    files = [images.written(COLOUR, kind) for kind in images.FORMATS]
    for number in range(400):
        data = bytearray(files[number % len(files)])
        for _ in range(3):
            data[int(chance.integers(len(data)))] ^= 1 << int(chance.integers(8))
        try:
            read.read(bytes(data))
        except ValueError as fault:
            assert str(fault)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize(("width", "height"), [(20_000, 20_000), (100_000, 10), (8_000, 8_000)])
def test_a_bomb_is_refused_by_its_header(width: int, height: int) -> None:
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(1000))
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    with pytest.raises(ValueError, match="too many pixels"):
        images.opened(data)


def test_a_file_of_too_many_bytes_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MOST_BYTES", 1000)
    monkeypatch.setattr(Image, "open", None)
    with pytest.raises(ValueError, match="has 1001 bytes"):
        images.parse(base64.b64encode(b"\xff\xd8\xff" + bytes(998)).decode())


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (3, "not int"),
        (None, "not NoneType"),
        ({"text": "a"}, "has no 'image'"),
        ({"image": None}, "not NoneType"),
        ("no base64!", "neither the file"),
        ("é", "neither the file"),
        (b"\x00\x01", "neither the file"),
    ],
)
def test_what_is_no_file_is_refused(value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        images.parse(value)


@pytest.mark.parametrize(
    "value", ["", b"", base64.b64encode(b"%PDF-1.7").decode(), base64.b64encode(b"<svg/>").decode()]
)
def test_what_is_no_picture_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="no picture"):
        images.opened(images.parse(value))


def test_a_tiff_is_not_opened() -> None:
    """Of formats beside the five not one line of their decoders is reached."""
    stream = io.BytesIO()
    GREY.save(stream, "TIFF")
    with pytest.raises(ValueError, match="PNG, JPEG, WEBP, GIF, BMP"):
        images.opened(images.parse(base64.b64encode(stream.getvalue()).decode()))


def test_all_ways_to_send_a_picture_are_read_alike() -> None:
    data = png(COLOUR)
    text = base64.b64encode(data).decode()
    sent = [data, text, text.encode(), {"image": text}, {"image": data}, images.as_sent({"image": text})]
    assert {images.parse(value) for value in sent} == {data}


def test_odd_pictures_are_read() -> None:
    for mode in ("L", "RGB"):
        for instance in images.odd():
            found = images.reading(lens(mode=mode), instance)
            assert found.inputs["pixels"].shape == (3 if mode == "RGB" else 1, 24, 40)
    assert len(images.odd()) > 7


def test_proportions_are_kept_and_the_border_has_the_mean() -> None:
    found, place = lens().read(png(Image.new("RGB", (100, 100), "red")))
    assert (found[:, :, :8] == 128).all()
    assert (found[:, :, -8:] == 128).all()
    assert (found[0, :, 8:-8] == 255).all()
    assert (place.width, place.height, place.scale, place.left, place.top) == (100, 100, 0.24, 8, 0)
    stretched, _ = lens(stretch=True).read(png(Image.new("RGB", (100, 100), "red")))
    assert (stretched[0] == 255).all()


def test_numbers_are_what_the_mean_and_deviation_say() -> None:
    numbers = lens().numbers(np.array([0, 128, 255], dtype=np.uint8).repeat(3).reshape(3, 3, 1, 1))
    assert numbers.dtype == np.float32
    assert np.allclose(numbers[:, 0, 0, 0], [-2, (128 / 255 - 0.5) / 0.25, 2], atol=1e-6)


def test_size_colour_and_numbers_follow_from_the_rows() -> None:
    grey = [png(GREY)] * 5
    found = image_base.lens_for(grey)
    assert (found.height, found.width, found.mode) == (24, 40, "L")
    assert abs(found.mean[0] - RAMP.mean() / 255) < 1e-3
    assert abs(found.std[0] - RAMP.std() / 255) < 1e-3
    assert image_base.lens_for([*grey, png(COLOUR)]).mode == "RGB"
    assert image_base.lens_for([png(GREY.convert("RGB"))]).mode == "L"
    assert images.Lens.of(found.settings()) == found


@pytest.mark.parametrize(
    ("size", "longer", "found"),
    [
        ((28, 28), None, (28, 28)),
        ((8, 8), None, (16, 16)),
        ((64, 64), None, (64, 64)),
        ((4000, 3000), None, (176, 224)),
        ((30, 20), None, (20, 32)),
        ((1000, 1), None, (16, 224)),
        ((640, 480), 96, (72, 96)),
    ],
)
def test_sizes_are_bounded_and_fit_the_grid(size: tuple[int, int], longer: int | None, found: tuple[int, int]) -> None:
    assert image_base.size_of([size], longer, image_base.LARGEST) == found


def test_a_sample_is_small_and_read_alike() -> None:
    big = images.in_base64(png(COLOUR.resize((800, 480))))
    small = images.small(big, lens())
    assert len(small["image"]) < len(big["image"])
    one, other = (images.reading(lens(), value).inputs["pixels"] for value in (big, small))
    assert np.abs(one.astype(int) - other.astype(int)).mean() < 2


def test_cells_hold_files_in_three_ways() -> None:
    data = png(GREY)
    ways = [data, base64.b64encode(data).decode(), {"bytes": data, "path": "a.png"}]
    assert [images.cell("image", value) for value in ways] == [data] * 3
    assert [images.cell("image", value) for value in (None, "", float("nan"), {"bytes": None})] == [b""] * 4
    with pytest.raises(ValueError, match="column photo is a broken picture"):
        images.cell("photo", data[:-30])

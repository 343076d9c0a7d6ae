"""Pictures as cameras and programs write them: 8-bit RGB, upright, or one error."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.classification import Classification
from pytest_perfgate.tasks.image_decoding import decode
from pytest_perfgate.tasks.image_files import ImageFiles

Image = pytest.importorskip("PIL.Image", reason="pip install 'pytest-perfgate[detection]'")


def picture() -> Any:
    """Uint8 (24, 32, 3) without any symmetry, smooth enough for JPEG."""
    rows, columns = np.mgrid[0:24, 0:32]
    return np.stack([rows * 10, columns * 7, rows * 3 + columns * 3], axis=2).astype(np.uint8)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_a_picture_is_read_as_viewers_show_it(
    tmp_path: Path, orientation: int, suffix: str
) -> None:
    """Whatever its EXIF orientation and its format."""
    turns = Image.Transpose
    stored = {  # what undoes the turn that a viewer makes
        2: turns.FLIP_LEFT_RIGHT,
        3: turns.ROTATE_180,
        4: turns.FLIP_TOP_BOTTOM,
        5: turns.TRANSPOSE,
        6: turns.ROTATE_90,
        7: turns.TRANSVERSE,
        8: turns.ROTATE_270,
    }
    made = Image.fromarray(picture())
    if orientation in stored:
        made = made.transpose(stored[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = tmp_path / f"a{suffix}"
    more = {".jpg": {"quality": 98, "subsampling": 0}, ".webp": {"lossless": True}}
    made.save(file, exif=exif, **more.get(suffix, {}))
    pixels, remarks = decode(file)
    assert pixels.shape == (24, 32, 3)
    assert np.abs(pixels.astype(int) - picture()).mean() < 3
    assert bool(remarks) == (orientation != 1)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_of_16_bits_the_high_byte_is_taken(tmp_path: Path, suffix: str) -> None:
    """Not what is left after clipping at 255."""
    grey = np.arange(24 * 32, dtype=np.uint16).reshape(24, 32) * 85
    Image.fromarray(grey).save(tmp_path / f"a{suffix}")
    pixels, remarks = decode(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(pixels, np.repeat((grey // 256)[:, :, None], 3, axis=2))
    assert pixels.dtype == np.uint8
    assert "16 bits" in remarks[0]


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_a_picture_without_a_known_range_is_refused(tmp_path: Path, dtype: Any) -> None:
    """Floating point and 32 bits: white may be 1, 255, or anything."""
    Image.fromarray(picture()[:, :, 0].astype(dtype)).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match="mode") as caught:
        decode(tmp_path / "a.tif")
    assert "a.tif" in str(caught.value)
    assert "8 bits" in caught.value.valid


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [("1", "png"), ("L", "png"), ("LA", "png"), ("P", "gif"), ("RGBA", "png"), ("CMYK", "jpg")],
)
def test_other_modes_become_rgb(tmp_path: Path, mode: str, suffix: str) -> None:
    """As near to the picture as the mode allows."""
    made = Image.fromarray(picture()).convert(mode)
    made.save(tmp_path / f"a.{suffix}")
    pixels, _ = decode(tmp_path / f"a.{suffix}")
    assert pixels.shape == (24, 32, 3)
    assert np.abs(pixels.astype(int) - np.asarray(made.convert("RGB"))).mean() < 4


def test_transparency_is_counted(tmp_path: Path) -> None:
    """Of a picture that is opaque nothing is said."""
    for name, alpha in (("a.png", 255), ("b.png", 128)):
        layers = np.dstack([picture(), np.full((24, 32), alpha, np.uint8)])
        Image.fromarray(layers).save(tmp_path / name)
    images = ImageFiles([tmp_path / "a.png", tmp_path / "b.png"])
    for _ in range(2):  # decoding twice counts once
        for image in images:
            np.testing.assert_array_equal(image, picture())
    (note,) = images.notes
    assert note.startswith("1 of 2 images have transparent pixels")


def test_transparency_is_kept_or_laid_over_a_background(tmp_path: Path) -> None:
    """As declared; an opaque picture has an opaque fourth channel."""
    alpha = np.zeros((24, 32), np.uint8)
    alpha[:, 16:] = 255
    Image.fromarray(np.dstack([picture(), alpha])).save(tmp_path / "a.png")
    Image.fromarray(picture()).save(tmp_path / "b.png")
    images = ImageFiles([tmp_path / "a.png", tmp_path / "b.png"])
    images.alpha = "keep"
    np.testing.assert_array_equal(images[0], np.dstack([picture(), alpha]))
    assert images[1].shape == (24, 32, 4)
    assert (images[1][:, :, 3] == 255).all()
    assert images.notes == ()
    images.alpha = (10, 20, 30)
    assert (images[0][:, :16] == (10, 20, 30)).all()
    np.testing.assert_array_equal(images[0][:, 16:], picture()[:, 16:])
    assert "they are laid over the background [10, 20, 30]" in images.notes[0]


def test_a_declared_data_set_says_what_becomes_of_transparency(tmp_path: Path) -> None:
    """The key `alpha`, of every task whose images are files; other values are refused."""
    for name in "ab":
        (tmp_path / name).mkdir()
        Image.fromarray(picture()).save(tmp_path / name / "a.png")
    for alpha, channels in (("keep", 4), ("drop", 3), ([1, 2, 3], 3)):
        source = {"images": ".", "alpha": alpha}
        data = Classification().load(source, tmp_path, tmp_path)
        assert data.images[0].shape[2] == channels
    for alpha in ("over", [1, 2], [1, 2, 256], True):
        with pytest.raises(DataError, match="alpha is"):
            Classification().load({"images": ".", "alpha": alpha}, tmp_path, tmp_path)


@pytest.mark.parametrize("keep", [0, 30, 100, 400])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp", ".bmp", ".gif"])
def test_a_broken_file_is_named(tmp_path: Path, keep: int, suffix: str) -> None:
    """A picture that was cut short, whatever its plugin raises."""
    file = tmp_path / f"a{suffix}"
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(file)
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(DataError) as caught:
        decode(file)
    assert f"a{suffix}" in str(caught.value)
    assert "open it in a viewer" in caught.value.next_step


def test_a_picture_of_very_many_pixels_is_said_in_words(tmp_path: Path) -> None:
    """The decoder takes it for an attack; the error says what to do."""
    Image.new("1", (14000, 14000)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="too large") as caught:
        decode(tmp_path / "a.png")
    assert "tiles" in caught.value.next_step


@pytest.mark.filterwarnings("error")
def test_a_large_picture_is_no_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below the decoder's limit it is a picture like any other."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 24 * 32 - 1)
    Image.fromarray(picture()).save(tmp_path / "a.png")
    assert decode(tmp_path / "a.png")[0].shape == (24, 32, 3)


def test_a_picture_of_no_believable_size_is_not_unpacked(tmp_path: Path) -> None:
    """A file of 100 bytes that claims 900 million pixels is refused by its head."""
    file = tmp_path / "bomb.png"
    Image.new("L", (1, 1)).save(file)
    content = bytearray(file.read_bytes())
    content[16:24] = (30_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    file.write_bytes(content)
    with pytest.raises(DataError, match="too large to decode") as caught:
        decode(file)
    assert caught.value.where == str(file)

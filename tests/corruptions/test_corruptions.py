"""Corruptions: the same for a seed, of any size, and as strong as ImageNet-C has them."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_perfgate.corruptions import MEANINGS, MOVING, NAMES, SEVERITIES, STILL, corrupted

pytest.importorskip("PIL", reason="pip install 'pytest-perfgate[detection]'")


def picture(height: int = 96, width: int = 128) -> Any:
    """Soft stripes in three colours, with a dark square."""
    rows, columns = np.mgrid[:height, :width]
    waves = [np.sin(rows / 9 + phase) + np.cos(columns / 13 - phase) for phase in (0, 1, 2)]
    image = (120 + 45 * np.stack(waves, axis=-1)).astype(np.uint8)
    image[30:50, 40:60] = (20, 30, 60)
    return image


def change(name: str, severity: int) -> float:
    """Mean distance between values of a picture and of the corrupted one."""
    whole = picture()
    draws = [corrupted(whole, name, severity, 0, index) for index in range(6)]
    return float(np.mean([np.abs(one.astype(float) - whole) for one in draws]))


def test_there_are_fifteen() -> None:
    """One of them moves objects, and each has words for people."""
    assert len(set(NAMES)) == 15
    assert len(STILL) == 14
    assert set(STILL) | MOVING == set(NAMES) == set(MEANINGS)


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from(NAMES), st.sampled_from(SEVERITIES))
@settings(max_examples=80, deadline=None)
def test_pictures_of_any_size_keep_it(height: int, width: int, name: str, severity: int) -> None:
    """uint8, of the same shape, and the picture itself is not changed."""
    whole = picture(60, 80)[:height, :width]
    before = whole.copy()
    result = corrupted(whole, name, severity, 0, 0)
    assert (result.shape, result.dtype) == ((height, width, 3), np.uint8)
    assert np.array_equal(whole, before)


@pytest.mark.parametrize("name", NAMES)
def test_transparency_stays(name: str) -> None:
    """The colours are those of the picture without it."""
    whole = picture(24, 32)
    alpha = np.arange(24 * 32, dtype=np.uint32).reshape(24, 32, 1).astype(np.uint8)
    result = corrupted(np.concatenate([whole, alpha], axis=-1), name, 3, 0, 0)
    assert np.array_equal(result[..., :3], corrupted(whole, name, 3, 0, 0))
    assert np.array_equal(result[..., 3:], alpha)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_and_place_give_the_same_picture(name: str) -> None:
    """And where anything is drawn, another seed or another place gives another picture."""
    whole = picture()
    one = corrupted(whole, name, 3, 1, 7)
    assert np.array_equal(one, corrupted(whole, name, 3, 1, 7))
    others = [corrupted(whole, name, 3, 2, 7), corrupted(whole, name, 3, 1, 8)]
    drawn = "Nothing is drawn" not in _words(name)
    assert all(drawn != np.array_equal(one, other) for other in others)


def _words(name: str) -> str:
    from pytest_perfgate.corruptions import blurs, digital, noise, weather

    functions = (getattr(module, name, None) for module in (blurs, digital, noise, weather))
    return next(str(one.__doc__) for one in functions if one is not None)


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"frost"}))
def test_a_higher_severity_changes_more(name: str) -> None:
    """Of the strongest against the weakest; ImageNet-C's frost is strongest in the middle."""
    assert change(name, 5) > 1.2 * change(name, 1) > 0


def test_what_has_a_formula_is_it() -> None:
    """Noise by its deviation, contrast by the distance from the mean, light by HSV's value, and
    JPEG files by Pillow.
    """
    from PIL import Image

    grey = np.full((200, 200, 3), 128, np.uint8)
    noisy = corrupted(grey, "gaussian_noise", 1, 0, 0) / 255
    assert float(noisy.std()) == pytest.approx(0.08, rel=0.02)
    photons = corrupted(grey, "shot_noise", 1, 0, 0) / 255
    assert float(photons.std()) == pytest.approx(np.sqrt(0.502 / 60), rel=0.03)
    flipped = corrupted(grey, "impulse_noise", 5, 0, 0)
    assert float((flipped == 0).mean()) == pytest.approx(0.135, rel=0.05)
    assert float((flipped == 255).mean()) == pytest.approx(0.135, rel=0.05)
    whole = picture()
    mean = whole.mean(axis=(0, 1))
    pale = np.rint((whole - mean) * 0.2 + mean)
    assert np.abs(corrupted(whole, "contrast", 3, 0, 0) - pale).max() <= 1
    light = corrupted(np.full((4, 4, 3), (100, 50, 0), np.uint8), "brightness", 2, 0, 0)
    assert light[0, 0].tolist() == [151, 76, 0]  # 100 / 255 + 0.2, hue and saturation as before
    file = io.BytesIO()
    Image.fromarray(whole).save(file, "JPEG", quality=15)
    read = np.asarray(Image.open(file))
    assert np.array_equal(corrupted(whole, "jpeg_compression", 3, 0, 0), read)


def test_blurs_keep_the_light() -> None:
    """A mean of neighbours: the sum over the picture stays nearly what it was."""
    whole = picture()
    for name in ("defocus_blur", "glass_blur", "motion_blur"):
        blurred = corrupted(whole, name, 3, 0, 0)
        assert float(blurred.mean()) == pytest.approx(float(whole.mean()), abs=2.0), name
        assert float(blurred.std()) < float(whole.std()), name

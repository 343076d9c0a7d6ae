"""Near-duplicates: copies are found, and images that are merely similar are not."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pytest_perfgate.stats.likeness import NEAR, SIDE, near_duplicates, thumbnail

Image = Any


@functools.cache
def scenes(count: int, seed: int, side: int = 96) -> list[Image]:
    """Made-up pictures, uint8 (side, side, 3): sums of soft spots of many sizes and colours."""
    random = np.random.default_rng(seed)
    grid = np.mgrid[:side, :side] / side
    pictures = []
    for _ in range(count):
        picture = np.full((side, side, 3), 120.0)
        for _ in range(20):
            size = random.uniform(0.03, 0.3)
            centre = random.uniform(0, 1, 2)[:, None, None]
            spot = np.exp(-((grid - centre) ** 2).sum(axis=0) / size**2)
            picture += spot[..., None] * random.uniform(-90, 90, 3)
        pictures.append(np.clip(picture, 0, 255).astype(np.uint8))
    return pictures


def small(images: list[Image]) -> Any:
    """Thumbnails of images."""
    return np.stack([thumbnail(image) for image in images])


def noisy(image: Image) -> Image:
    """With what a low quality of JPEG leaves: coarse levels and noise."""
    noise = np.random.default_rng(3).normal(0, 6, image.shape)
    return np.clip((image + noise) // 8 * 8, 0, 255).astype(np.uint8)


COPIES: dict[str, Callable[[Image], Image]] = {
    "coarser": noisy,
    "half the size": lambda image: image[::2, ::2],
    "stretched": lambda image: image[:, ::2],
    "brighter": lambda image: np.clip(image * 1.08, 0, 255).astype(np.uint8),
    "cropped": lambda image: image[5:-5, 5:-5],
    "cropped at two sides": lambda image: image[9:, 9:],
    "all at once": lambda image: noisy(np.clip(image[1:-6, 5:-2] * 0.9, 0, 255)),
    "with a fourth channel": lambda image: np.concatenate([image, image[..., :1]], axis=2),
}


@pytest.mark.parametrize("change", COPIES)
def test_copies_are_found_with_their_originals_and_nothing_else(change: str) -> None:
    """Whichever of the two is the copy; the most alike pair comes first."""
    ours, strangers = scenes(12, seed=1), scenes(30, seed=2)
    copies = [COPIES[change](image) for image in ours[:6]]
    for pairs in (
        near_duplicates(small(ours), small([*copies, *strangers])).pairs,
        near_duplicates(small([*copies, *strangers]), small(ours)).pairs,
    ):
        assert {(pair.ours, pair.other) for pair in pairs} == {(row, row) for row in range(6)}
        likeness = [pair.likeness for pair in pairs]
        assert likeness == sorted(likeness, reverse=True)
        assert min(likeness) >= NEAR


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image[:, ::-1],
        lambda image: image[40:],
        lambda image: image[..., ::-1],
        lambda image: np.roll(image, 32, axis=1),
        lambda image: (image * 0.4).astype(np.uint8),
    ],
    ids=[
        "mirrored",
        "cut to less than two thirds",
        "other colours",
        "moved by a third",
        "far darker",
    ],
)
def test_images_that_are_merely_similar_are_no_pair(change: Callable[[Image], Image]) -> None:
    """The documented ends of what a copy is."""
    ours = scenes(12, seed=1)
    assert not near_duplicates(small(ours), small([change(image) for image in ours])).pairs


def test_images_of_one_kind_must_be_more_alike_than_they_usually_are() -> None:
    """Frames of one scene are each other's neighbours and no pairs; copies of frames are."""
    scene = scenes(1, seed=5)[0].astype(float)
    spots = [image.astype(float) - 120 for image in scenes(20, seed=6)]
    frames = [np.clip(scene + 0.09 * spot, 0, 255).astype(np.uint8) for spot in spots]
    known = near_duplicates(small(frames[:10]), small(frames[10:]))
    assert known.limit > NEAR + 0.05
    assert not known.pairs
    copies = near_duplicates(small(frames[:10]), small([frame * 0.97 for frame in frames[:10]]))
    assert [pair for pair in copies.pairs if pair.ours == pair.other]


def test_one_level_of_grey_is_like_nothing() -> None:
    """Nor is a set without images an error."""
    plain = np.full((20, 30, 3), 7, np.uint8)
    assert small([plain]).shape == (1, SIDE, SIDE, 3)
    assert not near_duplicates(small([plain]), small([plain])).pairs
    nothing = np.zeros((0, SIDE, SIDE, 3), np.uint8)
    assert not near_duplicates(small(scenes(1, seed=1)), nothing).pairs
    assert not near_duplicates(nothing, small(scenes(1, seed=1))).pairs

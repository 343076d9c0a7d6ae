"""Near-duplicates: copies of an image, re-encoded, resized, brightened or cropped a little.

An image is reduced to a thumbnail. A short descriptor of each thumbnail finds candidates among all
pairs; each candidate is then aligned, by position and scale along both axes, and its gradients are
correlated. Perceptual hashes of whole images (a DCT's signs: Zauner 2010, "Implementation and
Benchmarking of Perceptual Image Hash Functions") move with a crop of 5 %, and hashes wide enough to
forgive it call images of one scene alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

SIDE = 32
"""Height and width of a thumbnail."""
NEAR = 0.9
"""Two images are alike from this correlation of their gradients on, once they are aligned."""
CROP = 0.05
"""What a candidate may lack at each side, as a share of it; alignment forgives a little more."""

_CANDIDATE = 0.8  # cosine of two descriptors
_PARTNERS = 3  # candidates of an image that are aligned
_WINDOW = 0.8  # of a thumbnail's side: what a descriptor is of
_CELLS = 8  # a descriptor's rows and columns
_HIGHEST = 6.0  # frequency in a descriptor, in half periods per window
_RATIO = 0.2  # of the usual difference of two images of one set, see `_limit`
_USUAL = 512  # images that the usual difference is taken from
_STEPS = 8  # of an alignment
_SCALES = (0.8, 1.25)  # the smallest and largest scale of an alignment
_SHIFT = SIDE / 8
_GAINS = (0.6, 1 / 0.6)  # of grey levels
_TINT = 24.0  # levels by which colours of a quarter of the side may differ
_FLAT = 2.0  # standard deviation of grey levels below which an image shows nothing
_PIXELS = 192  # of a side, from which on a thumbnail reads every other pixel, every third, ...
_ROWS, _CHUNK = 16, 256

Floats = npt.NDArray[np.float32]
Thumbnails = npt.NDArray[np.uint8]
"""(N, SIDE, SIDE, 3)."""


@dataclass(frozen=True)
class NearPair:
    """Two images that are near-duplicates, by their indices, and their likeness, up to 1."""

    ours: int
    other: int
    likeness: float


@dataclass(frozen=True)
class NearDuplicates:
    """The near-duplicates between two sets of images.

    Attributes:
        pairs: for an image of ours the most alike of the others, the most alike pair first.
        limit: the likeness from which on pairs were taken.
    """

    pairs: tuple[NearPair, ...]
    limit: float


def thumbnail(image: npt.NDArray[Any]) -> Thumbnails:
    """An image, uint8 (H, W, 3 or 4), as (SIDE, SIDE, 3): averages under a triangle of twice a
    thumbnail's pixel, so that fine textures do not alias.
    """
    step = max(1, min(image.shape[:2]) // _PIXELS)
    pixels = image[::step, ::step, :3].astype(np.float32)
    rows, columns = _triangles(pixels.shape[0]), _triangles(pixels.shape[1])
    reduced = np.tensordot(rows, pixels, (1, 0))  # (SIDE, W, 3)
    small = np.tensordot(columns, reduced, (1, 1)).transpose(1, 0, 2)
    return np.clip(np.rint(small), 0, 255).astype(np.uint8)


def near_duplicates(
    ours: Thumbnails,
    others: Thumbnails,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> NearDuplicates:
    """The images of `ours` with a near-duplicate among `others`. `progress(done, total)` is called
    while images of ours are compared.

    Images that show one level of grey are left out, and so are pairs of other colours. Where the
    images of `ours` are themselves much alike, such as frames of a video or digits, a pair must be
    several times more alike than they usually are: see `_limit`.
    """
    ours_grey, others_grey = _grey(ours), _grey(others)
    usual = _best(ours_grey[:_USUAL], ours_grey, ours, itself=True)
    limit = _limit([pair.likeness for pair in usual], min(len(ours), _USUAL))
    pairs = _best(ours_grey, others_grey, ours, others, progress=progress)
    near = [pair for pair in pairs if pair.likeness >= limit]
    return NearDuplicates(tuple(sorted(near, key=lambda pair: (-pair.likeness, pair.ours))), limit)


def _limit(alike: Sequence[float], images: int) -> float:
    """The likeness from which on a pair is taken: `NEAR`, or more where the median image has a
    partner in its own set that differs little. A pair must differ by less than a fifth of that: the
    nearest neighbour against the usual one (Lowe 2004, "Distinctive Image Features from
    Scale-Invariant Keypoints", section 7.1).
    """
    best = np.zeros(max(1, images))
    best[: len(alike)] = alike
    return max(NEAR, 1 - _RATIO * (1 - float(np.median(best))))


def _grey(thumbnails: Thumbnails) -> Floats:
    """Luma (N, SIDE, SIDE), by the weights of ITU-R BT.601."""
    return thumbnails.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)


def _best(
    ours: Floats,
    others: Floats,
    ours_colours: Thumbnails,
    others_colours: Thumbnails | None = None,
    *,
    itself: bool = False,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> list[NearPair]:
    """The most alike of `others` for each of `ours` that has a candidate there; `itself`: `others`
    begin with `ours`.
    """
    colours = ours_colours if others_colours is None else others_colours
    candidates = [np.array(pair) for pair in _candidates(ours, others, itself, progress)]
    best: dict[int, NearPair] = {}
    for begin in range(0, len(candidates), _CHUNK):
        rows, columns, kinds = np.stack(candidates[begin : begin + _CHUNK]).T
        a, b = ours[rows], others[columns]
        places = _aligned(a, b, _starts()[kinds])
        likeness, gains = _likeness(a, b, places)
        likeness[~_same_colours(ours_colours[rows], colours[columns], places, gains)] = 0.0
        for row, column, value in zip(rows, columns, likeness.tolist(), strict=True):
            if row not in best or value > best[row].likeness:
                best[int(row)] = NearPair(int(row), int(column), round(value, 4))
    return list(best.values())


# Candidates.


def _windows() -> list[tuple[float, float, float]]:
    """Scale and shift, down and right as shares of the side, of windows of our thumbnails: one of
    them is within half a crop of where the middle of a copy lies, whichever of the two is cropped.
    """
    windows = [(1.0, 0.0, 0.0)]
    for scale in (1 / (1 - 2 * CROP), 1 - 2 * CROP):
        shift = CROP * max(1.0, scale)
        corners = ((y * shift, x * shift) for y in (-1, 1) for x in (-1, 1))
        windows += [(scale, 0.0, 0.0), *((scale, down, right) for down, right in corners)]
    return windows


@lru_cache(maxsize=1)
def _starts() -> Floats:
    """Where alignment starts, per window: scale down and right, shift down and right in pixels, as
    `_warped` takes them.
    """
    starts = [(1 / s, 1 / s, -down * SIDE / s, -right * SIDE / s) for s, down, right in _windows()]
    return np.array(starts, np.float32)


def _candidates(
    ours: Floats, others: Floats, itself: bool, progress: Callable[[int, int], None]
) -> Iterator[tuple[int, int, int]]:
    """Pairs whose descriptors are alike, and the window of ours; a few for each of ours."""
    known = _descriptors(others, (1.0, 0.0, 0.0))
    windows = [_descriptors(ours, window) for window in _windows()]
    shown = (ours.std(axis=(1, 2)) > _FLAT).nonzero()[0]
    known[others.std(axis=(1, 2)) <= _FLAT] = 0.0
    for begin in range(0, len(shown), _ROWS):
        rows = shown[begin : begin + _ROWS]
        stacked = np.stack([window[rows] for window in windows], axis=1)  # (R, W, D)
        cosines = (stacked.reshape(-1, stacked.shape[-1]) @ known.T).reshape(
            len(rows), len(windows), len(others)
        )
        hits = np.argwhere(cosines >= _CANDIDATE)
        values = cosines[tuple(hits.T)]
        taken: dict[int, set[int]] = {}
        for index in np.argsort(-values, kind="stable").tolist():
            place, window, column = hits[index].tolist()
            row = int(rows[place])
            partners = taken.setdefault(row, set())
            if len(partners) < _PARTNERS and column not in partners | ({row} if itself else set()):
                partners.add(column)
                yield row, column, window
        progress(min(begin + _ROWS, len(shown)), len(shown))


def _descriptors(grey: Floats, window: tuple[float, float, float]) -> Floats:
    """Low frequencies of a window, unit vectors (N, D). Each is weighted by its frequency, so that
    all count alike: amplitudes of natural images fall as its inverse (Field 1987).
    """
    scale, down, right = window
    rows, columns = (_cells(SIDE / 2 + shift * SIDE, scale) for shift in (down, right))
    frequencies = np.hypot(*np.meshgrid(np.arange(_CELLS), np.arange(_CELLS)))
    kept = (frequencies > 0) & (frequencies <= _HIGHEST)
    waves = (rows @ grey @ columns.T)[:, kept] * frequencies[kept]
    length = np.linalg.norm(waves, axis=1, keepdims=True)
    return np.asarray(waves / np.maximum(length, 1e-6), np.float32)


def _cells(middle: float, scale: float) -> Floats:
    """The cosine transform of the means of a window's cells, (_CELLS, SIDE)."""
    edges = np.linspace(-0.5, 0.5, _CELLS + 1) * SIDE * _WINDOW * scale + middle
    pixels = np.arange(SIDE)
    inside = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    means = np.clip(inside, 0, None)
    means = means / means.sum(axis=1, keepdims=True)
    turns = np.arange(_CELLS)[:, None] * (np.arange(_CELLS) + 0.5) * np.pi / _CELLS
    cosines = np.cos(turns)
    cosines = cosines / np.linalg.norm(cosines, axis=1, keepdims=True)
    return np.asarray(cosines @ means, dtype=np.float32)


# Alignment.


def _aligned(ours: Floats, others: Floats, places: Floats) -> Floats:
    """Where ours (M, SIDE, SIDE) lie on the others: `places` (M, 4) as `_warped` takes them, moved
    by Gauss-Newton steps to the highest correlation (Baker and Matthews 2004, "Lucas-Kanade 20
    Years On"). Gain and offset of grey levels are solved for in the same step.
    """
    grid = np.arange(SIDE, dtype=np.float32) - (SIDE - 1) / 2
    best, highest = places.copy(), np.full(len(ours), -2.0, np.float32)
    for step in range(_STEPS + 1):
        warped, inside = _warped(others, places)
        mask = inside.astype(np.float32)
        a, b = _standard(ours, mask), _standard(warped, mask)
        correlation = (a * b).sum(axis=(1, 2))
        better = correlation > highest
        highest[better], best[better] = correlation[better], places[better]
        if step == _STEPS:
            break
        down, right = np.zeros_like(b), np.zeros_like(b)
        down[:, 1:-1] = (b[:, 2:] - b[:, :-2]) / 2
        right[:, :, 1:-1] = (b[:, :, 2:] - b[:, :, :-2]) / 2
        down, right = down * mask, right * mask
        parts = (down * grid[:, None], right * grid, down, right, b, mask)
        jacobian = np.stack(parts, axis=-1).reshape(len(ours), -1, len(parts))
        turned = jacobian.transpose(0, 2, 1)
        ridge = np.eye(len(parts), dtype=np.float32) * 1e-6  # of a mask with nothing in it
        moves = np.linalg.solve(
            turned @ jacobian + ridge, turned @ (a - b).reshape(len(ours), -1, 1)
        )[..., 0]
        scales = np.clip(places[:, :2] + np.clip(moves[:, :2], -0.04, 0.04), *_SCALES)
        shifts = np.clip(places[:, 2:] + np.clip(moves[:, 2:4], -1, 1), -_SHIFT, _SHIFT)
        places = np.concatenate([scales, shifts], axis=1)
    return best


def _likeness(ours: Floats, others: Floats, places: Floats) -> tuple[Floats, Floats]:
    """Correlation of the gradients of ours and of the others at `places`, (M,), and the gains of
    grey levels between them, (M,); 0 where a gain is no slight change of brightness.
    """
    warped, inside = _warped(others, places)
    inner = inside[:, 1:-1, 1:-1] & inside[:, 2:, 1:-1] & inside[:, :-2, 1:-1]
    inner &= inside[:, 1:-1, 2:] & inside[:, 1:-1, :-2]
    a, b = (_gradients(pictures) * inner[..., None] for pictures in (ours, warped))
    powers = (a * a).sum(axis=(1, 2, 3)), (b * b).sum(axis=(1, 2, 3))
    product = (a * b).sum(axis=(1, 2, 3))
    gain = product / np.maximum(powers[1], 1e-6)
    value = product / np.sqrt(np.maximum(powers[0] * powers[1], 1e-6))
    slight = (gain >= _GAINS[0]) & (gain <= _GAINS[1])
    return np.where(slight, value, 0.0).astype(np.float32), gain


def _same_colours(
    ours: Thumbnails, others: Thumbnails, places: Floats, gains: Floats
) -> npt.NDArray[np.bool_]:
    """Whether the differences between the colour channels are alike everywhere, but for a gain,
    (M,).
    """
    apart = np.zeros(len(ours), np.float32)
    for one, other in ((0, 1), (2, 1)):  # red and blue beside green
        tints = [
            side[..., one].astype(np.float32) - side[..., other].astype(np.float32)
            for side in (ours, others)
        ]
        warped, inside = _warped(tints[1], places)
        difference = (tints[0] - gains[:, None, None] * warped) * inside
        difference = difference.reshape(len(ours), 4, SIDE // 4, 4, SIDE // 4)
        apart = np.maximum(apart, np.abs(difference.mean(axis=(2, 4))).max(axis=(1, 2)))
    return apart <= _TINT


def _gradients(pictures: Floats) -> Floats:
    down = pictures[:, 2:, 1:-1] - pictures[:, :-2, 1:-1]
    right = pictures[:, 1:-1, 2:] - pictures[:, 1:-1, :-2]
    return np.stack([down, right], axis=-1)


def _standard(pictures: Floats, mask: Floats) -> Floats:
    """Without their mean inside the mask, of unit length."""
    count = np.maximum(mask.sum(axis=(1, 2), keepdims=True), 1)
    centred = (pictures - (pictures * mask).sum(axis=(1, 2), keepdims=True) / count) * mask
    length = np.sqrt((centred * centred).sum(axis=(1, 2), keepdims=True))
    return np.asarray(centred / np.maximum(length, 1e-6), np.float32)


def _warped(pictures: Floats, places: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Pictures (M, SIDE, SIDE) read at scale * (x - middle) + shift + middle along each axis, and
    where that is inside; `places` (M, 4) are the scales down and right, then the shifts.
    """
    middle = (SIDE - 1) / 2
    grid = np.arange(SIDE, dtype=np.float32) - middle
    down = grid * places[:, 0:1] + places[:, 2:3] + middle
    right = grid * places[:, 1:2] + places[:, 3:4] + middle
    rows, columns = ((axis >= -0.5) & (axis <= SIDE - 0.5) for axis in (down, right))
    read = _reading(down) @ pictures @ _reading(right).transpose(0, 2, 1)
    return np.asarray(read, np.float32), rows[:, :, None] & columns[:, None, :]


def _reading(places: Floats) -> Floats:
    """Linear interpolation at places (M, SIDE) of a row, as matrices (M, SIDE, SIDE)."""
    inside = np.clip(places, 0, SIDE - 1)
    left = np.minimum(inside.astype(np.int64), SIDE - 2)
    right_share = inside - left
    matrix = np.zeros((*places.shape, SIDE), np.float32)
    np.put_along_axis(matrix, left[..., None], (1 - right_share)[..., None], axis=-1)
    np.put_along_axis(matrix, left[..., None] + 1, right_share[..., None], axis=-1)
    return matrix


@lru_cache(maxsize=64)
def _triangles(length: int) -> Floats:
    """Weights of `length` pixels for the pixels of a thumbnail, (SIDE, length)."""
    scale = length / SIDE
    reach = max(scale, 1.0)
    centres = (np.arange(SIDE) + 0.5) * scale
    distance = np.abs(np.arange(length) + 0.5 - centres[:, None]) / reach
    weights = np.clip(1 - distance, 0, None)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)

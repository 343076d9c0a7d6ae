"""Pictures of one handwritten digit on a photograph with its keypoints, the same every time.

Digits, photographs and splits are those of the detector (`suites.digits.data`). Keypoints are the
middles of the ink at the four sides, and the two ends of the stroke where its skeleton has two;
else these are not labelled. Pictures are made on first use and kept below `$PERFGATE_CACHE`, or
`.perfgate` in the project's root.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from suites.digits import data as digits
from suites.digits.data import Composer, Image, Split
from suites.made_once import made_once

if TYPE_CHECKING:
    from pytest_perfgate.tasks.pose.data import PoseData

SIDE = 128
KEYPOINTS = ("top", "right", "bottom", "left", "upper_end", "lower_end")
SIGMAS = (0.1,) * len(KEYPOINTS)
SKELETON = ((1, 2), (2, 3), (3, 4), (4, 1))
"""Keypoints that are joined in pictures, counted from 1 as COCO has it."""

_RIM = 0.1  # of the ink's height or width: what is at a side
_VISIBLE = 2

TRAINING = digits.SPLITS["train"]
"""What pictures to train on are composed of (`suites.pose.train`)."""

SPLITS = digits.splits_of("pose", calibration=(96, 32), validation=(400, 33))


def calibration() -> PoseData:
    """96 pictures for calibrating quantizers."""
    return _load(SPLITS["calibration"])


def validation() -> PoseData:
    """400 pictures for measuring accuracy."""
    return _load(SPLITS["validation"])


@dataclass(frozen=True)
class Posed:
    """One picture: `image` uint8 (side, side, 3) RGB; `box` x, y, width and height of the ink;
    `label` of the digit; `points` float64 (K, 3), x, y and COCO's visibility of each keypoint.
    """

    image: Image
    box: tuple[float, float, float, float]
    label: int
    points: npt.NDArray[np.float64]


class PoseComposer(Composer):
    """Composes pictures of one split from a seeded generator."""

    def posed(self, side: int = SIDE) -> Posed:
        """The next picture."""
        image = self._background(side).astype(np.float32)
        label = int(self._random.integers(len(digits.CLASSES)))
        place = None
        while place is None:  # a digit may be larger than the picture
            alpha = self._ink(label, digits.SIDE)
            height, width = alpha.shape
            place = self._place([], width, height, side)
        left, top = place
        there = np.s_[top : top + height, left : left + width]
        colour = self._colour(image[there][alpha > 0.5].mean(axis=0))
        image[there] += alpha[..., None] * (colour - image[there])
        noisy = image + self._random.normal(0.0, 4.0, (side, side, 1)).astype(np.float32)
        points = keypoints(alpha > 0.5)
        points[points[:, 2] > 0, :2] += (left, top)
        box = (float(left), float(top), float(width), float(height))
        return Posed(np.clip(noisy, 0, 255).astype(np.uint8), box, label, points)


def keypoints(ink: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Keypoints (K, 3) of ink (h, w) that reaches all four sides: x, y and visibility.

    A side's keypoint is the middle of the ink in its tenth of the height or width. The ends of the
    stroke are the pixels of the skeleton (Zhang & Suen 1984) with one neighbour.
    """
    from scipy.ndimage import convolve
    from skimage.morphology import skeletonize

    rows, columns = np.nonzero(ink)
    height, width = ink.shape
    points = np.zeros((len(KEYPOINTS), 3))
    near = (
        rows < max(1.0, _RIM * height),
        columns >= width - max(1.0, _RIM * width),
        rows >= height - max(1.0, _RIM * height),
        columns < max(1.0, _RIM * width),
    )
    for index, rim in enumerate(near):
        points[index] = (columns[rim].mean() + 0.5, rows[rim].mean() + 0.5, _VISIBLE)
    skeleton = skeletonize(np.pad(ink, 1))  # type: ignore[no-untyped-call]  # it has no types
    neighbours = convolve(skeleton.astype(np.int64), np.ones((3, 3), np.int64)) - 1
    ends = np.argwhere(skeleton & (neighbours == 1)) - 1  # top to bottom, left to right
    if len(ends) == 2:
        points[4:, :2] = ends[:, ::-1] + 0.5
        points[4:, 2] = _VISIBLE
    return points


def instances(pictures: Sequence[Posed]) -> dict[str, Any]:
    """COCO instances with keypoints; ids count from 1."""
    return {
        "images": [
            {"id": index + 1, "width": one.image.shape[1], "height": one.image.shape[0]}
            for index, one in enumerate(pictures)
        ],
        "annotations": [
            {
                "id": index + 1,
                "image_id": index + 1,
                "category_id": 1,
                "bbox": list(one.box),
                "area": one.box[2] * one.box[3],
                "iscrowd": 0,
                "keypoints": one.points.reshape(-1).tolist(),
                "num_keypoints": int((one.points[:, 2] > 0).sum()),
            }
            for index, one in enumerate(pictures)
        ],
        "categories": [
            {
                "id": 1,
                "name": "digit",
                "keypoints": list(KEYPOINTS),
                "skeleton": [list(pair) for pair in SKELETON],
            }
        ],
    }


def _load(split: Split) -> PoseData:
    from pytest_perfgate.tasks.pose.data import PoseData

    kept = made_once(split.name, lambda: _make(split), __file__, digits.__file__)
    return PoseData(images=kept["images"], coco=kept["annotations"], sigmas=SIGMAS)


def _make(split: Split) -> dict[str, Any]:
    composer = PoseComposer(split, split.seed)
    pictures = [composer.posed() for _ in range(split.scenes)]
    return {
        "images": np.stack([one.image for one in pictures]),
        "annotations": instances(pictures),
    }

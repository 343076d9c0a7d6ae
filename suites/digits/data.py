"""Scenes of handwritten digits on photographs, made the same way every time.

The digits are scikit-learn's 1,797 real ones (8 x 8 pixels, enlarged); the photographs are those
inside scikit-image and scikit-learn. A split has digits and photographs of its own. Scenes are
made on first use and kept below `$PERFGATE_CACHE`, or `.perfgate` in the project's root.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from suites.made_once import made_once

if TYPE_CHECKING:
    from pytest_perfgate.tasks.detection.data import DetectionData

SIDE = 320
CLASSES = tuple("0123456789")

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Split:
    """One split: how many scenes, from which seed, on which photographs, of which digits.

    `share` is the range of every class's digits (in scikit-learn's order) that it may use.
    """

    name: str
    scenes: int
    seed: int
    photographs: tuple[str, ...]
    share: tuple[float, float]


_TRAINING = (
    "astronaut.png",
    "coffee.png",
    "rocket.jpg",
    "brick.png",
    "gravel.png",
    "coins.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "camera.png",
    "china.jpg",
    "color.png",
    "page.png",
)

SPLITS = {
    "train": Split("train", 1500, 1, _TRAINING, (0.0, 0.6)),
    "more": Split("more", 4000, 4, _TRAINING, (0.0, 0.6)),
    "calibration": Split("calibration", 128, 2, ("moon.png", "retina.jpg", "cell.png"), (0.6, 0.7)),
    "validation": Split(
        "validation",
        500,
        3,
        ("chelsea.png", "flower.jpg", "grass.png", "motorcycle_left.png"),
        (0.7, 1.0),
    ),
}


def splits_of(suite: str, **sizes: tuple[int, int]) -> dict[str, Split]:
    """Splits of another suite, of the digits and photographs of those here: how many scenes, and
    from which seed, by a split's name.
    """
    return {
        name: replace(SPLITS[name], name=f"{suite}-{name}", scenes=scenes, seed=seed)
        for name, (scenes, seed) in sizes.items()
    }


def train() -> DetectionData:
    """1,500 scenes for training and fine-tuning."""
    return _load(SPLITS["train"])


def more() -> DetectionData:
    """4,000 other scenes of the same digits and photographs, for a long training (1.2 GB)."""
    return _load(SPLITS["more"])


def calibration() -> DetectionData:
    """128 scenes for calibrating quantizers."""
    return _load(SPLITS["calibration"])


def validation() -> DetectionData:
    """500 scenes for measuring accuracy."""
    return _load(SPLITS["validation"])


@dataclass(frozen=True)
class Scene:
    """One scene: `image` uint8 (SIDE, SIDE, 3) RGB; `boxes` float64 (M, 4) x, y, width, height in
    pixels, tight around the visible ink; `labels` int (M,).
    """

    image: Image
    boxes: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int64]


class Composer:
    """Composes scenes of one split from a seeded generator."""

    def __init__(self, split: Split, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._photographs = [_photograph(name) for name in split.photographs]
        self._digits = [_digits(label, split.share) for label in range(len(CLASSES))]

    def scene(self, side: int = SIDE, most: int = 6) -> Scene:
        """The next scene: 1 to `most` digits that hardly overlap."""
        image = self._background(side).astype(np.float32)
        boxes: list[tuple[float, float, float, float]] = []
        labels: list[int] = []
        for _ in range(int(self._random.integers(1, most + 1))):
            label = int(self._random.integers(len(CLASSES)))
            alpha = self._ink(label, side)
            height, width = alpha.shape
            place = self._place(boxes, width, height, side)
            if place is None:
                continue
            left, top = place
            region = image[top : top + height, left : left + width]
            colour = self._colour(region[alpha > 0.5].mean(axis=0))
            region += alpha[..., None] * (colour - region)
            boxes.append((float(left), float(top), float(width), float(height)))
            labels.append(label)
        noisy = image + self._random.normal(0.0, 4.0, (side, side, 1)).astype(np.float32)
        return Scene(
            np.clip(noisy, 0, 255).astype(np.uint8),
            np.array(boxes, dtype=np.float64).reshape(-1, 4),
            np.array(labels, dtype=np.int64),
        )

    def _background(self, side: int) -> Image:
        photograph = self._photographs[int(self._random.integers(len(self._photographs)))]
        height, width = photograph.shape[:2]
        crop = int(self._random.uniform(0.4, 1.0) * min(height, width))
        top = int(self._random.integers(height - crop + 1))
        left = int(self._random.integers(width - crop + 1))
        cut = _resize(photograph[top : top + crop, left : left + crop], side, side)
        if self._random.random() < 0.5:
            cut = cut[:, ::-1]
        gain = self._random.uniform(0.6, 1.1)
        return np.clip(cut * gain, 0, 255).astype(np.uint8)

    def _ink(self, label: int, side: int) -> npt.NDArray[np.float32]:
        """Opacity (h, w) of a digit at a random size, cut to its visible ink."""
        digits = self._digits[label]
        digit = digits[int(self._random.integers(len(digits)))]
        height = float(np.exp(self._random.uniform(np.log(28), np.log(110)))) * min(
            1, side / SIDE + 0.2
        )
        width = height * self._random.uniform(0.75, 1.25)
        large = _resize(digit, max(12, round(width)), max(16, round(height))).astype(np.float32)
        alpha = np.clip((large / 255.0 - 0.25) / 0.35, 0.0, 1.0)
        rows, columns = np.where(alpha.max(axis=1) > 0.5)[0], np.where(alpha.max(axis=0) > 0.5)[0]
        visible: npt.NDArray[np.float32] = alpha[
            rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1
        ]
        return visible

    def _place(
        self, boxes: Sequence[tuple[float, ...]], width: int, height: int, side: int
    ) -> tuple[int, int] | None:
        if width >= side or height >= side:
            return None
        for _ in range(20):
            left = int(self._random.integers(side - width))
            top = int(self._random.integers(side - height))
            if all(
                left + width < x + 2 or x + w < left + 2 or top + height < y + 2 or y + h < top + 2
                for x, y, w, h in boxes
            ):
                return left, top
        return None

    def _colour(self, behind: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """A colour that stands out from what is behind it."""
        for _ in range(20):
            colour = self._random.uniform(0, 255, 3).astype(np.float32)
            if abs(float(colour.mean() - behind.mean())) > 70:
                return colour
        return np.full(3, 255.0 if behind.mean() < 128 else 0.0, dtype=np.float32)


def digit_indices(label: int, share: tuple[float, float]) -> npt.NDArray[np.int64]:
    """Which of scikit-learn's digits of a class lie in `share` of them."""
    from sklearn.datasets import load_digits

    indices = np.flatnonzero(load_digits().target == label)
    begin, end = (round(part * len(indices)) for part in share)
    return indices[begin:end]


@lru_cache(maxsize=64)
def _digits(label: int, share: tuple[float, float]) -> Image:
    from sklearn.datasets import load_digits

    images = load_digits().images[digit_indices(label, share)]
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    return np.clip(padded * (255.0 / 16.0), 0, 255).astype(np.uint8)


@lru_cache(maxsize=64)
def _photograph(name: str) -> Image:
    from PIL import Image as Pillow

    for folder in _folders():
        if (folder / name).exists():
            return np.asarray(Pillow.open(folder / name).convert("RGB"))
    raise FileNotFoundError(f"the photograph {name!r} is in neither scikit-image nor scikit-learn")


def _folders() -> tuple[Path, Path]:
    import skimage
    import sklearn

    return (
        Path(str(skimage.__file__)).parent / "data",
        Path(str(sklearn.__file__)).parent / "datasets" / "images",
    )


def _resize(image: npt.NDArray[Any], width: int, height: int) -> npt.NDArray[Any]:
    from PIL import Image as Pillow

    return np.asarray(Pillow.fromarray(image).resize((width, height), Pillow.Resampling.BICUBIC))


def _load(split: Split) -> DetectionData:
    from pytest_perfgate.tasks.detection.data import DetectionData

    kept = made_once(f"digits-{split.name}", lambda: _make(split), __file__)
    return DetectionData(images=kept["images"], coco=kept["annotations"])


def _make(split: Split) -> dict[str, Any]:
    composer = Composer(split, split.seed)
    scenes = [composer.scene() for _ in range(split.scenes)]
    return {
        "images": np.stack([scene.image for scene in scenes]),
        "annotations": instances(scenes),
    }


def instances(scenes: Sequence[Scene]) -> dict[str, Any]:
    """COCO instances of some scenes; image ids count from 1."""
    listed: list[dict[str, Any]] = []
    for index, scene in enumerate(scenes):
        for box, label in zip(scene.boxes.tolist(), scene.labels.tolist(), strict=True):
            listed.append(
                {
                    "id": len(listed) + 1,
                    "image_id": index + 1,
                    "category_id": label + 1,
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": 0,
                }
            )
    return {
        "images": [
            {"id": index + 1, "width": scene.image.shape[1], "height": scene.image.shape[0]}
            for index, scene in enumerate(scenes)
        ],
        "annotations": listed,
        "categories": [{"id": index + 1, "name": name} for index, name in enumerate(CLASSES)],
    }

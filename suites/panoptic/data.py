"""Handwritten digits on photographs and sheets of paper, with the segment of each pixel, the same
every time.

Scenes are composed as those of the segmenter (`suites.segments.data`). On most of them a sheet lies
below the digits. Digits are things, the photograph and the two kinds of paper are stuff. The soft
edge of a stroke is of no segment. Scenes are made on first use and kept below `$PERFGATE_CACHE`, or
`.perfgate` in the project's root.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from suites.digits import data as digits
from suites.digits.data import Image, Split
from suites.made_once import made_once
from suites.segments import data as segments
from suites.segments.data import SIDE, MaskComposer, MaskedScene

if TYPE_CHECKING:
    from pytest_perfgate.tasks.panoptic.data import PanopticData

STUFF = ("photograph", "ruled paper", "squared paper")
CLASSES = (*digits.CLASSES, *STUFF)
THINGS = (*(True for _ in digits.CLASSES), *(False for _ in STUFF))

Map = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

TRAINING = digits.SPLITS["train"]
"""What scenes to train on are composed of (`suites.panoptic.train`)."""

SPLITS = digits.splits_of("panoptic", calibration=(96, 72), validation=(300, 73))


def calibration() -> PanopticData:
    """96 scenes for calibrating quantizers."""
    return _load(SPLITS["calibration"])


def validation() -> PanopticData:
    """300 scenes for measuring accuracy."""
    return _load(SPLITS["validation"])


@dataclass(frozen=True)
class PanopticScene:
    """One scene.

    Attributes:
        image: uint8 (side, side, 3) RGB.
        map: uint8 (side, side), the segment of each pixel: k for the k-th, 0 for none.
        categories: of each segment, an index of `CLASSES`.
        boxes: x, y, width and height of each segment of a digit, which stand first, in pixels.
    """

    image: Image
    map: Map
    categories: tuple[int, ...]
    boxes: tuple[tuple[int, int, int, int], ...]


class SheetComposer(MaskComposer):
    """Composes scenes with segments of one split from a seeded generator."""

    def panoptic(self, side: int = SIDE, most: int = 4) -> PanopticScene:
        """The next scene: at most one sheet, and 1 to `most` digits that hardly overlap."""
        self._kinds = np.zeros((side, side), dtype=np.uint8)
        return _numbered(self.masked(side, most), self._kinds)

    def _background(self, side: int) -> Image:
        """A photograph; on three of four of them lies a sheet, whose pixels are kept."""
        image = super()._background(side)
        if self._random.random() < 0.25:
            return image
        kind = int(self._random.integers(1, len(STUFF)))
        inside, across, along = self._outline(side)
        paper = self._paper(across, along, squared=kind == STUFF.index("squared paper"))
        self._kinds[inside > 0.5] = kind
        mixed = image + inside[..., None] * (paper - image)
        return np.clip(mixed, 0, 255).astype(np.uint8)

    def _outline(self, side: int) -> tuple[Floats, Floats, Floats]:
        """Opacity (side, side) of a turned sheet, and the distance of each pixel from its middle
        along its height and along its width, in pixels.
        """
        angle = self._random.uniform(-np.pi / 4, np.pi / 4)
        middle = self._random.uniform(0.15, 0.85, 2) * side
        half = self._random.uniform(0.25, 0.55, 2) * side
        rows, columns = np.mgrid[:side, :side].astype(np.float32) + 0.5
        rows, columns = rows - middle[0], columns - middle[1]
        across = (rows * np.cos(angle) - columns * np.sin(angle)).astype(np.float32)
        along = (rows * np.sin(angle) + columns * np.cos(angle)).astype(np.float32)
        within = np.minimum(half[0] - np.abs(across), half[1] - np.abs(along))
        return np.clip(within + 0.5, 0, 1).astype(np.float32), across, along

    def _paper(self, across: Floats, along: Floats, *, squared: bool) -> Floats:
        """Colours (side, side, 3) of paper with lines across, when squared along too."""
        pitch, width = self._random.uniform(6, 11), self._random.uniform(0.9, 1.5)
        paper = self._random.uniform(190, 250) + self._random.uniform(-12, 12, 3)
        line = paper * self._random.uniform(0.35, 0.75, 3)
        distances = [across, along] if squared else [across]
        ink = np.zeros_like(across)
        for distance in distances:
            nearest = np.abs((distance / pitch) % 1 - 0.5) * pitch
            ink = np.maximum(ink, np.clip(width / 2 + 0.5 - nearest, 0, 1))
        shade = 1 + self._random.uniform(-0.15, 0.15) * across / len(across)
        colours: Floats = ((paper + ink[..., None] * (line - paper)) * shade[..., None]).astype(
            np.float32
        )
        return colours


def _numbered(scene: MaskedScene, kinds: Map) -> PanopticScene:
    """A scene whose digits are numbered, and after them the stuff that is left of them."""
    numbers = np.zeros_like(scene.mask)
    categories: list[int] = []
    boxes: list[tuple[int, int, int, int]] = []
    for index, label in enumerate(scene.labels):
        ink = scene.digit(index) > 0
        if ink.any():  # a digit may be so small that all of it is soft edge
            categories.append(label)
            boxes.append(scene.boxes[index])
            numbers[ink] = len(categories)
    for kind in range(len(STUFF)):
        there = (kinds == kind) & (scene.mask == 0)
        if there.any():
            categories.append(len(digits.CLASSES) + kind)
            numbers[there] = len(categories)
    return PanopticScene(scene.image, numbers, tuple(categories), tuple(boxes))


def as_data(scenes: Sequence[PanopticScene]) -> PanopticData:
    """Some scenes as the task takes them."""
    return _as_data(
        [scene.image for scene in scenes], [scene.map for scene in scenes], _kinds(scenes)
    )


def _kinds(scenes: Sequence[PanopticScene]) -> list[list[int]]:
    return [list(scene.categories) for scene in scenes]


def _as_data(images: Any, maps: Any, categories: Sequence[Sequence[int]]) -> PanopticData:
    from pytest_perfgate.tasks.panoptic.data import PanopticData, Segment

    rows = [[Segment(row + 1, kind) for row, kind in enumerate(kinds)] for kinds in categories]
    return PanopticData(images, maps, rows, CLASSES, THINGS)


def _load(split: Split) -> PanopticData:
    sources = (__file__, segments.__file__, digits.__file__)
    kept = made_once(split.name, lambda: _make(split), *sources)
    return _as_data(kept["images"], kept["maps"], kept["categories"])


def _make(split: Split) -> dict[str, Any]:
    composer = SheetComposer(split, split.seed)
    scenes = [composer.panoptic() for _ in range(split.scenes)]
    return {
        "images": np.stack([scene.image for scene in scenes]),
        "maps": np.stack([scene.map for scene in scenes]),
        "categories": _kinds(scenes),
    }

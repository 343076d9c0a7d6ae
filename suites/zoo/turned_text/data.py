"""Turned pages of lines, and the quadrilaterals that the package rapidocr finds on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from suites.text.data import pages
from suites.zoo.pictures import Picture, bgr

if TYPE_CHECKING:
    from pytest_perfgate.tasks.oriented.data import OrientedData

NAMES = ("text",)
_MOST = 35.0  # degrees


def pictures(count: int, seed: int) -> list[Picture]:
    """Drawn pages, each turned by its own angle, on a ground of the colour of its corner."""
    random = np.random.default_rng(seed)
    return [_turned(page, random.uniform(-_MOST, _MOST)) for page in pages(count, seed).images]


def _turned(page: Picture, angle: float) -> Picture:
    from PIL import Image

    ground = tuple(int(value) for value in page[0, 0])
    image = Image.fromarray(np.ascontiguousarray(page))
    turned = image.rotate(angle, Image.Resampling.BICUBIC, expand=True, fillcolor=ground)
    return np.asarray(turned)


def calibration() -> OrientedData:
    """Other pages."""
    from pytest_perfgate.tasks.oriented.data import OrientedData

    return OrientedData(pictures(8, seed=33))


def validation() -> OrientedData:
    """The quadrilaterals of `rapidocr.RapidOCR`."""
    from pytest_perfgate.tasks.oriented.data import OrientedData
    from rapidocr import RapidOCR

    shown = pictures(48, seed=34)
    pipeline = RapidOCR()
    corners = []
    for picture in bgr(shown):
        result = pipeline(picture, use_det=True, use_cls=False, use_rec=False)
        boxes = getattr(result, "boxes", None)  # None: no text
        corners.append(np.zeros((0, 4, 2)) if boxes is None else np.asarray(boxes, np.float64))
    categories = [np.zeros(len(quads), np.int64) for quads in corners]
    difficult = [np.zeros(len(quads), bool) for quads in corners]
    return OrientedData(shown, corners, categories, difficult, NAMES)

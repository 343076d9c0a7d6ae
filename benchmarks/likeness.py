"""Near-duplicates: how long it takes to find them, which copies are found, what is flagged wrongly.

    python -m benchmarks.likeness                5,000 against 20,000 images
    python -m benchmarks.likeness --quick        500 against 2,000
    python -m benchmarks.likeness --json FILE    and the figures as JSON

The photographs are those that scikit-image and scikit-learn ship, and squares cut from them; digits
and scenes are those of the demo suites. The exit code is 1 where the time limit is missed, planted
copies are not found, or an image without a copy is flagged.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageEnhance
from pytest_perfgate.files import put
from pytest_perfgate.stats.likeness import NearDuplicates, near_duplicates, thumbnail

TARGET_SECONDS, TARGET_SHARE = 20.0, 0.95
SIZES, QUICK = (5_000, 20_000), (500, 2_000)
_COPIES = 100
_SQUARE = 200  # pixels of a square that is cut from a photograph
_PLAIN = 8.0  # standard deviation of grey levels below which a square shows too little to be told
_NOT_PHOTOGRAPHS = {"multipage.tif", "no_time_for_that_tiny.gif", "chessboard_RGB.png"}
_SAME_SCENE = "motorcycle_right.png"

Picture = Image.Image
Thumbnails = npt.NDArray[np.uint8]


def _jpeg(picture: Picture, quality: int) -> Picture:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def _resized(picture: Picture, factor: float) -> Picture:
    size = tuple(max(1, round(side * factor)) for side in picture.size)
    return picture.resize((size[0], size[1]), Image.Resampling.BICUBIC)


def _cropped(picture: Picture, share: float, down: float = 0.5, right: float = 0.5) -> Picture:
    """Without `share` of each side, of which `down` and `right` lie above and left."""
    width, height = (int(side * (1 - share)) for side in picture.size)
    left, top = (picture.width - width) * right, (picture.height - height) * down
    return picture.crop((int(left), int(top), int(left) + width, int(top) + height))


def _brightened(picture: Picture, factor: float) -> Picture:
    return ImageEnhance.Brightness(picture).enhance(factor)


COPIES: dict[str, Callable[[Picture], Picture]] = {
    "JPEG of quality 90": lambda picture: _jpeg(picture, 90),
    "JPEG of quality 50": lambda picture: _jpeg(picture, 50),
    "JPEG of quality 20": lambda picture: _jpeg(picture, 20),
    "half the size": lambda picture: _resized(picture, 0.5),
    "a quarter of the size": lambda picture: _resized(picture, 0.25),
    "1.5 times the size": lambda picture: _resized(picture, 1.5),
    "224 x 224, whatever its shape": lambda picture: picture.resize((224, 224)),
    "10 % brighter": lambda picture: _brightened(picture, 1.1),
    "25 % brighter": lambda picture: _brightened(picture, 1.25),
    "20 % darker": lambda picture: _brightened(picture, 0.8),
    "2.5 % cropped at each side": lambda picture: _cropped(picture, 0.05),
    "5 % cropped at each side": lambda picture: _cropped(picture, 0.1),
    "10 % cropped at two sides": lambda picture: _cropped(picture, 0.1, 0.0, 0.0),
    "15 % cropped, most at two sides": lambda picture: _cropped(picture, 0.15, 0.3, 0.7),
    "8 % cropped, 256 x 256, 10 % brighter, JPEG of quality 60": lambda picture: _jpeg(
        _brightened(_cropped(picture, 0.08, 0.9, 0.2).resize((256, 256)), 1.1), 60
    ),
}


@dataclass(frozen=True)
class Recall:
    """Of images whose copies were compared with them: how many, how many were found with their own
    copy, and how many with that of another image.
    """

    change: str
    images: str
    compared: int
    found: int
    wrong: int


@dataclass(frozen=True)
class Flagged:
    """Images of splits without copies that are flagged, which none should be."""

    what: str
    compared: int
    others: int
    flagged: int
    limit: float


@dataclass(frozen=True)
class Timing:
    """Seconds of one comparison, and of making the thumbnails that the cache keeps."""

    compared: int
    others: int
    seconds: float
    copies: int
    found: int
    wrong: int
    thumbnail: float  # seconds of one, of 640 x 480 pixels

    @property
    def missed(self) -> bool:
        """Whether it took too long, did not find what was planted, or found what was not."""
        few = self.found < TARGET_SHARE * self.copies
        return self.seconds > TARGET_SECONDS or few or self.wrong > 0


def photographs() -> list[Picture]:
    """Those that scikit-image and scikit-learn ship, one of each scene."""
    import skimage
    import sklearn

    folders = (
        Path(skimage.__file__).parent / "data",
        Path(sklearn.__file__).parent / "datasets" / "images",
    )
    files = (file for folder in folders for file in sorted(folder.iterdir()))
    types = {".png", ".jpg"}
    left_out = _NOT_PHOTOGRAPHS | {_SAME_SCENE}
    chosen = [file for file in files if file.suffix in types and file.name not in left_out]
    return [Image.open(file).convert("RGB") for file in chosen]


def squares(pictures: Sequence[Picture]) -> list[Picture]:
    """Squares side by side in each picture, without those that show one level of grey."""
    cut = []
    for picture in pictures:
        for left in range(0, picture.width - _SQUARE + 1, _SQUARE):
            for top in range(0, picture.height - _SQUARE + 1, _SQUARE):
                square = picture.crop((left, top, left + _SQUARE, top + _SQUARE))
                if np.asarray(square.convert("L")).std() >= _PLAIN:
                    cut.append(square)
    return cut


def thumbnails(images: Sequence[Any]) -> Thumbnails:
    """Of pictures or arrays."""
    return np.stack([thumbnail(np.asarray(image)) for image in images])


def recall(name: str, pictures: Sequence[Picture]) -> list[Recall]:
    """Each picture beside the copies of all, for each kind of copy."""
    known, rows = thumbnails(pictures), []
    for change, copy in COPIES.items():
        near = near_duplicates(known, thumbnails([copy(picture) for picture in pictures]))
        own = sum(pair.ours == pair.other for pair in near.pairs)
        rows.append(Recall(change, name, len(pictures), own, len(near.pairs) - own))
    return rows


def demo_splits() -> list[Flagged]:
    """Splits of the demo suites, which share nothing; and a stereo pair of one scene."""
    from suites.backbones import data as digits
    from suites.digits import data as scenes

    validation = thumbnails(scenes.validation().images)
    pair = ["motorcycle_left.png", _SAME_SCENE]
    stereo = [thumbnails([picture]) for picture in photographs_named(pair)]
    splits = {
        "scenes: validation and train": (validation, thumbnails(scenes.train().images)),
        "scenes: validation and calibration": (validation, thumbnails(scenes.calibration().images)),
        "digits of 8 x 8 pixels: validation and train": (
            thumbnails(digits.validation().images),
            thumbnails(digits.train().images),
        ),
        "two cameras of one scene": (stereo[0], stereo[1]),
    }
    rows = []
    for what, (ours, others) in splits.items():
        near = near_duplicates(ours, others)
        rows.append(Flagged(what, len(ours), len(others), len(near.pairs), round(near.limit, 3)))
    return rows


def photographs_named(names: Sequence[str]) -> list[Picture]:
    """Photographs of scikit-image by their files."""
    import skimage

    return [
        Image.open(Path(skimage.__file__).parent / "data" / name).convert("RGB") for name in names
    ]


def timing(ours: int, others: int) -> Timing:
    """Made-up scenes: three crops of photographs, turned and mirrored, laid over each other; those
    of ours are of every second photograph, the others of the rest. A hundred copies are planted,
    brightened and cropped.
    """
    random = np.random.default_rng(5)
    known_sources = [np.asarray(picture.resize((400, 400))) for picture in photographs()]

    def scene(sources: Sequence[npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
        scene, weights = np.zeros((96, 96, 3)), random.dirichlet((2.0, 2.0, 2.0))
        chosen = random.choice(len(sources), 3, replace=False)
        for source, weight in zip(chosen, weights, strict=True):
            side = int(random.integers(60, 360))
            top, left = random.integers(0, 400 - side, 2)
            crop = Image.fromarray(sources[source][top : top + side, left : left + side])
            part = np.rot90(np.asarray(crop.resize((96, 96))), int(random.integers(4)))
            scene += weight * (part[::-1] if random.random() < 0.5 else part)
        return scene.astype(np.uint8)

    images = [scene(known_sources[::2]) for _ in range(ours)]
    copies = min(_COPIES, ours)
    planted = [
        _brightened(_cropped(Image.fromarray(image), 0.06, 0.3, 0.8), 1.08)
        for image in images[:copies]
    ]
    rest = (scene(known_sources[1::2]) for _ in range(others - copies))
    known = thumbnails([*planted, *rest])
    validation = thumbnails(images)
    start = time.perf_counter()
    near: NearDuplicates = near_duplicates(validation, known)
    seconds = time.perf_counter() - start
    found = sum(pair.ours == pair.other < copies for pair in near.pairs)
    # A scene may be like the copy of another one of the same photographs: neither right nor wrong.
    wrong = sum(pair.other >= copies for pair in near.pairs)
    return Timing(ours, others, round(seconds, 2), copies, found, wrong, _one_thumbnail())


def _one_thumbnail() -> float:
    image, times = np.zeros((480, 640, 3), np.uint8), []
    for _ in range(20):
        start = time.perf_counter()
        thumbnail(image)
        times.append(time.perf_counter() - start)
    return round(min(times), 6)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the figures; 1 where one of them is red."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.likeness", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="500 against 2,000 images")
    parser.add_argument("--json", type=Path, help="file for the figures")
    chosen = parser.parse_args(arguments)
    pictures = photographs()
    recalls = [
        row
        for name, images in (("photographs", pictures), ("squares", squares(pictures)))
        for row in recall(name, images)
    ]
    for row in recalls:
        print(f"{row.images}, {row.change}: {row.found} of {row.compared}, wrong {row.wrong}")
    splits = demo_splits()
    for split in splits:
        print(
            f"{split.what}: {split.flagged} flagged of {split.compared:,} beside "
            f"{split.others:,}, from a likeness of {split.limit:.3f}"
        )
    time_taken = timing(*(QUICK if chosen.quick else SIZES))
    print(
        f"{time_taken.compared:,} against {time_taken.others:,} images: {time_taken.seconds:.1f} s "
        f"(target: at most {TARGET_SECONDS:.0f}), {time_taken.found} of {time_taken.copies} copies "
        f"found, {time_taken.wrong} wrong; a thumbnail {time_taken.thumbnail * 1e3:.2f} ms"
        + (", MISSED" if time_taken.missed else "")
    )
    if chosen.json:
        figures = {
            "recall": [asdict(row) for row in recalls],
            "splits": [asdict(split) for split in splits],
            "timing": asdict(time_taken),
        }
        put(chosen.json, json.dumps(figures, indent=1))
    wrong = any(row.wrong for row in recalls) or any(split.flagged for split in splits)
    return int(time_taken.missed or wrong)


if __name__ == "__main__":
    sys.exit(main())

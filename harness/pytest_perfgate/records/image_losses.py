"""The images that a recipe does worse than its reference, as plain data: boxes and thumbnails."""

from __future__ import annotations

from pytest_perfgate.frozen import Frozen

WORSE_MOST = 4
"""Images of one recipe that are handed over, at most."""

THUMBNAIL_BYTES = 40_000
"""Of a thumbnail's base64 text, at most."""


OVERLAY_BYTES = 20_000
"""Of an overlay's base64 text, at most."""


class SeenBox(Frozen):
    """One box in an image.

    Attributes:
        box: left, top, right, bottom in pixels of the original image.
        category: its name.
        score: of a detection, 0 to 1; None: it is an object of the ground truth.
        object: the index of the object that a detection is paired with, None for none.
        points: x and y of the keypoints of a pose.
        bones: x and y of both ends of the lines between its keypoints.
        outline: x and y of the corners of an oriented box, drawn in place of `box`.
    """

    box: tuple[float, float, float, float]
    category: str
    score: float | None = None
    object: int | None = None
    points: tuple[tuple[float, float], ...] = ()
    bones: tuple[tuple[float, float, float, float], ...] = ()
    outline: tuple[tuple[float, float], ...] = ()


class WorseImage(Frozen):
    """One image that a recipe does worse than its reference.

    Attributes:
        image: its index among the validation images.
        loss: by how much the scores of the detections that are paired with an object fell, summed
            over the image's objects; one that is no longer found counts with its whole score.
        reference, recipe: what each of the two detected: what is paired or confident, best first.
        reference_overlay, recipe_overlay: of a task with a class for each pixel, the pixels that
            each of the two gets wrong: a PNG, base64, to be laid over the image. "": other tasks.
    """

    image: int
    loss: float
    reference: tuple[SeenBox, ...]
    recipe: tuple[SeenBox, ...]
    reference_overlay: str = ""
    recipe_overlay: str = ""


class Thumbnail(Frozen):
    """One validation image, made small.

    Attributes:
        name: its file's name, "" when it has none.
        width, height: of the original, in pixels: the scale that boxes are in.
        objects: the ground truth.
        media: "image/webp" or "image/jpeg".
        data: the file's bytes, base64.
    """

    name: str
    width: int
    height: int
    objects: tuple[SeenBox, ...]
    media: str
    data: str

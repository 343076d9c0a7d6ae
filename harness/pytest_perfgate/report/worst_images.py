"""The images that got worse, laid out for the page: two pictures of each, and what was lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_perfgate.records.image_losses import SeenBox, Thumbnail, WorseImage
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.session import SuiteRecord
from pytest_perfgate.report.label_places import Box, Places, label

_TEXT = 13  # pixels of a label's letters at the size that pictures are shown in
_SHOWN = 300  # pixels that a picture is shown wide


@dataclass(frozen=True)
class DrawnBox:
    """One box, in the original image's pixels.

    Attributes:
        label: the text at the box.
        named: whether it is drawn: another label may be in its place. Tooltips always have it.
        outline: an SVG path in place of the box, "" for the box.
        pose: an SVG path of keypoints, as round dots, and the lines between them.
    """

    x: float
    y: float
    width: float
    height: float
    label: str
    label_x: float
    label_y: float
    anchor: str
    kind: str
    named: bool
    outline: str = ""
    pose: str = ""


@dataclass(frozen=True)
class Panel:
    """One picture: what one side detected, over the ground truth; or, as an overlay, the pixels
    that it gets wrong (a PNG, base64).
    """

    title: str
    alt: str
    boxes: tuple[DrawnBox, ...]
    overlay: str = ""


@dataclass(frozen=True)
class Shown:
    """One image: the reference's picture, the recipe's picture, and the losses in words.

    `text` and `stroke` are sizes in the image's own pixels.
    """

    image: int
    title: str
    thumbnail: Thumbnail
    panels: tuple[Panel, Panel]
    lost: tuple[str, ...]
    text: float
    stroke: float


def worse(suite: SuiteRecord) -> list[tuple[RecipeRecord, list[Shown]]]:
    """The recipes that were looked at, each with its images that got worse, worst first."""
    panels = []
    for record in suite.recipes:
        if record.worse is None:
            continue
        shown = [
            _shown(record, loss, suite.thumbnails[loss.image])
            for loss in record.worse
            if loss.image in suite.thumbnails
        ]
        panels.append((record, shown))
    return panels


def overlaid(suite: SuiteRecord) -> bool:
    """Whether the images show wrong pixels, not boxes."""
    return any(image.recipe_overlay for record in suite.recipes for image in record.worse or ())


def posed(suite: SuiteRecord) -> bool:
    """Whether the images show keypoints."""
    boxes = (box for record in suite.recipes for one in record.worse or () for box in one.reference)
    return any(box.points for box in boxes)


def named(suite: SuiteRecord) -> bool:
    """Whether the images show classes or labels, which are of the whole picture."""
    shown = [suite.thumbnails[index] for index in used(suite)]
    return bool(shown) and all(
        box.box == (0, 0, one.width, one.height) for one in shown for box in one.objects
    )


def used(suite: SuiteRecord) -> dict[int, Thumbnail]:
    """The thumbnails that the page needs, each once."""
    shown = {image.image for record in suite.recipes for image in record.worse or ()}
    return {index: thumbnail for index, thumbnail in suite.thumbnails.items() if index in shown}


def _shown(record: RecipeRecord, image: WorseImage, thumbnail: Thumbnail) -> Shown:
    scale = max(thumbnail.width, 1) / _SHOWN
    name = f" ({thumbnail.name})" if thumbnail.name else ""
    lost = _lost(thumbnail.objects, image)
    if image.recipe_overlay:
        what = "IoU of its classes"
        panels = (
            _overlaid(record.reference, image.reference_overlay),
            _overlaid(record.name, image.recipe_overlay),
        )
    else:
        what = "OKS of its objects" if any(box.points for box in image.reference) else "scores"
        panels = (
            _panel(record.reference, "reference", thumbnail, image.reference, scale, lost),
            _panel(record.name, "recipe", thumbnail, image.recipe, scale, lost),
        )
    return Shown(
        image=image.image,
        title=f"image {image.image}{name}: {what} fell by {image.loss:.2f} in all",
        thumbnail=thumbnail,
        panels=panels,
        lost=tuple(text for _, text in lost),
        text=_TEXT * scale,
        stroke=2 * scale,
    )


def _overlaid(title: str, overlay: str) -> Panel:
    return Panel(title, f"the pixels that {title} gets wrong", (), overlay)


def _panel(
    title: str,
    kind: str,
    thumbnail: Thumbnail,
    boxes: Sequence[SeenBox],
    scale: float,
    lost: Sequence[tuple[int, str]],
) -> Panel:
    places = Places(Box(-scale, -scale, thumbnail.width + scale, thumbnail.height + scale))
    objects = [_drawn(box, "truth", "", scale, places) for box in thumbnail.objects]
    matched = {box.object for box in boxes if box.object is not None}
    missing = [index for index, _ in lost if index not in matched]
    for index in missing:  # drawn again on top: what was there and is not found
        objects.append(_drawn(thumbnail.objects[index], "missing", "not found", scale, places))
    # Surer detections are named first, and drawn last.
    drawn = []
    for box in sorted(boxes, key=lambda box: -(box.score or 0.0)):
        score = "" if box.score is None else f" {box.score:.2f}"
        drawn.append(_drawn(box, kind, f"{box.category}{score}", scale, places))
    drawn.reverse()
    alt = (
        f"what {title} detects: {len(boxes)} boxes over {len(thumbnail.objects)} objects, "
        f"{len(matched)} of which are found"
    )
    return Panel(title=title, alt=alt, boxes=(*objects, *drawn))


def _drawn(box: SeenBox, kind: str, words: str, scale: float, places: Places) -> DrawnBox:
    left, top, right, bottom = box.box
    size = _TEXT * scale
    # Above the box, inside it or below, from its left edge on or up to its right edge.
    place = places.first_free(
        [
            label(words, x, y, align, size)
            for y in (top - 4 * scale, top + size + scale, bottom + size + scale)
            for x, align in ((left, "left"), (right, "right"))
        ]
        if words
        else []
    )
    return DrawnBox(
        x=left,
        y=top,
        width=max(0.0, right - left),
        height=max(0.0, bottom - top),
        label=words,
        label_x=place.x if place else left,
        anchor="end" if place and place.align == "right" else "start",
        label_y=round(place.y, 1) if place else top,
        kind=kind,
        named=place is not None,
        outline=_closed(box.outline),
        pose=_pose(box),
    )


def _closed(corners: Sequence[tuple[float, float]]) -> str:
    """An SVG path around corners."""
    if not corners:
        return ""
    return f"M{' L'.join(f'{x:g} {y:g}' for x, y in corners)} Z"


def _pose(box: SeenBox) -> str:
    """An SVG path: a line of no length for each keypoint, whose round ends are a dot."""
    dots = (f"M{x:g} {y:g}h0" for x, y in box.points)
    lines = (f"M{x:g} {y:g}L{to_x:g} {to_y:g}" for x, y, to_x, to_y in box.bones)
    return "".join((*dots, *lines))


def _lost(objects: Sequence[SeenBox], image: WorseImage) -> list[tuple[int, str]]:
    """Objects whose score fell, the most first: index and words."""
    before = {box.object: box.score or 0.0 for box in image.reference if box.object is not None}
    after = {box.object: box.score or 0.0 for box in image.recipe if box.object is not None}
    fell = sorted(
        (after.get(index, 0.0) - score, index)
        for index, score in before.items()
        if after.get(index, 0.0) < score - 0.01 and 0 <= index < len(objects)
    )
    return [
        (
            index,
            f"{objects[index].category}: {before[index]:.2f} → "
            + (f"{after[index]:.2f}" if index in after else "not found"),
        )
        for _, index in fell
    ]

"""Task, decoder and pre-processing of a model, guessed from its file and a folder of data, for
`pytest-perfgate init`: each guess with its evidence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pytest_perfgate import registry
from pytest_perfgate.cli.init_data import CLASSIFICATION, DETECTION, DataFacts
from pytest_perfgate.cli.init_model import ModelFacts, Shape
from pytest_perfgate.errors import RecipeError
from pytest_perfgate.tasks.pixels.fitted_inputs import guessed

_ULTRALYTICS = {"detect": DETECTION, "segment": DETECTION, "classify": CLASSIFICATION}
_OTHER_TASKS = {"pose": ("pose", "pose"), "obb": ("oriented", "oriented_boxes")}
"""Of Ultralytics' names: the task, and the page of the docs with a suite for it."""

_LISTED = 1000  # rows that a list of detections has, at most; a table of anchors has more

_IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
_AROUND = {"resize": "letterbox", "pad_value": 114, "pad": "around"}


@dataclass(frozen=True)
class Decoding:
    """A decoder that fits outputs.

    Attributes:
        classes: how many the network has; None: the outputs do not say.
    """

    decoder: str
    classes: int | None
    why: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Line:
    """A guess: what of, its value, and the evidence."""

    what: str
    value: str
    why: str


@dataclass(frozen=True)
class Guess:
    """All that a suite file needs to know of a model and its data.

    Attributes:
        input, output: keys of `[suite.input]` and `[suite.output]`.
        unknown: what neither the file nor the data says, one sentence each.
    """

    task: str
    input: Mapping[str, Any]
    output: Mapping[str, Any]
    lines: tuple[Line, ...]
    unknown: tuple[str, ...]


def guess(model: ModelFacts, data: DataFacts, task: str = "", decode: str = "") -> Guess:
    """The guesses; `task` and `decode` are those that the user names.

    Raises:
        RecipeError: the outputs fit no task, or none of the task's decoders.
    """
    chosen, why = _task(model, data, task)
    lines = [Line("task", chosen, why)]
    unknown: list[str] = []
    if not data.scores(chosen):
        why = f"the data has no truth for {chosen}"
        lines.append(Line("scores", "agreement with the reference", why))
        data = replace(data, classes=())  # those of another task
    if chosen == CLASSIFICATION:
        output = _classifier(model, data, lines, unknown)
        pixels = _classifier_pixels(model, lines, unknown)
    else:
        decoding = _decoding(model, data, decode)
        lines.append(Line("decoder", decoding.decoder, decoding.why))
        output = {"decode": decoding.decoder, "options": dict(decoding.options)}
        order = _order(model, data, decoding.classes, lines, unknown)
        if order and decoding.decoder != "text_map":
            output["options"]["classes"] = order
        if not output["options"]:
            del output["options"]
        pixels = _detector_pixels(model, decoding.decoder, lines, unknown)
    if model.others:
        pixels = {**pixels, "others": _others(model, lines, unknown)}
    return Guess(chosen, pixels, output, tuple(lines), tuple(unknown))


def _others(model: ModelFacts, lines: list[Line], unknown: list[str]) -> dict[str, Any]:
    """Keys of the inputs beside the images, by their names."""
    others = {}
    for tensor in model.others:
        others[tensor.name], known = guessed(tensor)
        kind, value = next(iter(others[tensor.name].items()))
        why = "usual for its name" if known else "a guess by its type"
        lines.append(Line("input", f"{tensor.name}: {kind} {value}", f"{tensor}; {why}"))
        if not known:
            unknown.append(f"what the input {tensor.name} is: see [suite.input.others]")
    return others


def _task(model: ModelFacts, data: DataFacts, task: str) -> tuple[str, str]:
    if task:
        return task, "--task"
    if model.task:
        if model.task not in _ULTRALYTICS:
            step = "--task detection scores the boxes of such a model alone"
            if model.task in _OTHER_TASKS:
                name, page = _OTHER_TASKS[model.task]
                step = f'write task = "{name}", as docs/{page}.md shows; or {step}'
            raise RecipeError(
                f"the metadata says that the task is {model.task!r}",
                where=str(model.file),
                valid=", ".join(_ULTRALYTICS),
                next_step=step,
            )
        return _ULTRALYTICS[model.task], f"the metadata says task = {model.task}"
    first = model.shapes[0] if model.shapes else ()
    if len(first) == 2 and len(model.shapes) == 1:
        return CLASSIFICATION, f"one output {_shown(first)}"
    if decodings(model.shapes, model.names, len(data.classes)):
        return DETECTION, f"outputs {' and '.join(map(_shown, model.shapes))}"
    raise _fits_nothing(model)


def _fits_nothing(model: ModelFacts) -> RecipeError:
    outputs = ", ".join(map(str, model.outputs))
    if len(model.shapes) == 1 and len(model.shapes[0]) == 4:
        return RecipeError(
            f"the outputs fit no task that init writes a suite for: {outputs}",
            where=str(model.file),
            valid="outputs of a classifier or a detector",
            next_step='write task = "segmentation" for a class for each pixel, as '
            "docs/segmentation.md shows; or --task detection --decode text_map",
        )
    return RecipeError(
        f"the outputs fit no task: {outputs or 'none'}",
        where=str(model.file),
        valid="(N, C) of a classifier; of a detector (N, 4 + C, A), (N, A, 5 + C), (N, M, 6), "
        "(N, A, 4) and (N, A, C), (N, Q, C) and (N, Q, 4), (N, M, 5) and (N, M), (M, 7), or boxes, "
        "labels and scores",
        next_step="--task TASK, and for detection --decode DECODER; other outputs need a decoder "
        "of your own",
    )


def decodings(shapes: Sequence[Shape], names: Sequence[str], classes: int) -> list[Decoding]:
    """Decoders that fit the shapes of outputs, the likeliest first. `names` are those of the
    network's classes, and `classes` how many the data has; none and 0 where nothing says so.
    """
    fits = _of_lists(shapes) or (_of_two(shapes) if len(shapes) > 1 else [])
    fits = fits or _of_one(shapes)
    known = len(names) or None
    if known is not None:
        fits = [fit for fit in fits if fit.classes is None or _has(fit, known)]
    # A number of classes that the data has too is no chance.
    return sorted(fits, key=lambda fit: not _has(fit, classes))


def _has(decoding: Decoding, classes: int) -> bool:
    """Whether the outputs are those of so many classes; of DETR one more may be "no object"."""
    more = {1} if decoding.decoder == "detr" else set()
    return decoding.classes in {classes + extra for extra in {0, *more}}


def _of_lists(shapes: Sequence[Shape]) -> list[Decoding]:
    """Decoders of detections that are lists already: suppression is in the graph."""
    axes = [len(shape) for shape in shapes]
    shown = ", ".join(map(_shown, shapes))
    boxes = [len(shape) > 1 and shape[-1] == 4 for shape in shapes]
    if axes[:1] == [2] and shapes[0][1] == 7:
        return [Decoding("nms_rows", None, f"{shown}: image, box, class, score")]
    if axes == [2, 1] and shapes[0][1] == 6:
        return [Decoding("paddle", None, f"{shown}: class, score and box, and numbers of boxes")]
    if axes == [2, 3, 2, 2] and boxes[1]:
        return [Decoding("efficient_nms", None, f"{shown}: numbers, boxes, scores, classes")]
    if sorted(axes[:3]) == [2, 2, 3] and any(boxes[:3]):
        return [Decoding("rtdetr", None, f"{shown}: labels, boxes, scores")]
    if axes[:3] == [2, 1, 1] and boxes[0]:
        return [Decoding("torchvision", None, f"{shown}: boxes, labels, scores of one image")]
    return []


def _of_two(shapes: Sequence[Shape]) -> list[Decoding]:
    one, two = shapes[0], shapes[1]
    shown = f"{_shown(one)} and {_shown(two)}"
    if len(one) == 3 and one[2] == 5 and len(two) == 2:
        return [Decoding("mmdeploy_nms", None, f"{shown}: boxes with scores, and labels")]
    if len(one) != 3 or len(two) != 3:
        return []
    fits = []
    if one[2] == 4:
        fits.append(Decoding("boxes_scores", _count(two[2]), f"{shown}: boxes, then scores"))
    if two[2] == 4:
        fits.append(Decoding("detr", _count(one[2]), f"{shown}: classes, then boxes"))
    return fits


def _of_one(shapes: Sequence[Shape]) -> list[Decoding]:
    if not shapes:
        return []
    shape = shapes[0]
    masks = _masks(shapes)
    if len(shape) == 4 and shape[1] == 1 and len(shapes) == 1:
        return [Decoding("text_map", 1, f"{_shown(shape)}: a map of one channel")]
    if len(shape) != 3:
        return []
    rows, columns = _count(shape[1]), _count(shape[2])
    fits = []
    if columns == 6 and (rows is None or rows <= _LISTED):
        fits.append(Decoding("ultralytics_nms", None, f"{_shown(shape)}: boxes, score, class"))
    if rows is not None and rows > 4 and (columns is None or rows < columns):
        count = rows - 4 - masks
        why = f"{_shown(shape)}: 4 + {count} classes"
        if masks:
            why += f" + {masks} mask coefficients, which are not scored; "
            why += 'task = "instances" scores masks, as docs/instances.md shows'
        options = {"classes": list(range(count))} if masks else {}
        fits.append(Decoding("ultralytics", count, why, options))
    if columns is not None and columns > 5 and (rows is None or columns < rows):
        count = columns - 5 - masks
        why = f"{_shown(shape)}: 5 + {count} classes"
        options = {"classes": list(range(count))} if masks else {}
        fits.append(Decoding("yolov5", count, why, options))
    return [fit for fit in fits if fit.classes is None or fit.classes > 0]


def _masks(shapes: Sequence[Shape]) -> int:
    """Mask coefficients after the scores: as many as prototypes (N, M, h, w) in the second
    output.
    """
    return (_count(shapes[1][1]) or 0) if len(shapes) == 2 and len(shapes[1]) == 4 else 0


def _count(length: int | str) -> int | None:
    return length if isinstance(length, int) else None


def _shown(shape: Shape) -> str:
    return f"({', '.join(map(str, shape))})" if shape else "of unknown shape"


def _decoding(model: ModelFacts, data: DataFacts, decode: str) -> Decoding:
    fits = decodings(model.shapes, model.names, len(data.classes))
    if decode:
        own = [fit for fit in fits if fit.decoder == decode]
        return own[0] if own else Decoding(decode, len(model.names) or None, "--decode")
    if not fits:
        raise _fits_nothing(model)
    best = fits[0]
    if best.decoder == "detr":
        # As many logits as categories: none of them is "no object".
        single = best.classes in {len(data.classes) or None, len(model.names) or None}
        count = best.classes if single or best.classes is None else best.classes - 1
        options = {"activation": "sigmoid" if single else "softmax"}
        return Decoding(best.decoder, count, best.why, options)
    return best


def _order(
    model: ModelFacts,
    data: DataFacts,
    count: int | None,
    lines: list[Line],
    unknown: list[str],
) -> list[int]:
    """The network's classes in the order of the data's; [] where they are the same or unknown."""
    if not data.classes:
        return []
    if model.names:
        places = {_plain(name): index for index, name in enumerate(model.names)}
        order = [places.get(_plain(name), -1) for name in data.classes]
        if -1 not in order:
            if order == list(range(len(model.names))):
                lines.append(Line("classes", f"all {len(order)}", "the names are the data's"))
                return []
            lines.append(Line("classes", _short(order), "by the names in the metadata"))
            return order
        absent = [name for name, place in zip(data.classes, order, strict=True) if place < 0]
        unknown.append(
            f"which classes of the network are {', '.join(absent[:5])}: no name in its metadata is "
            "the same. Set classes = [...] in [suite.output]"
        )
        return []
    if count is None or count == len(data.classes):
        lines.append(
            Line("classes", f"all {len(data.classes)}", "as many as the network has, in one order")
        )
        unknown.append("the names of the network's classes: the order is taken to be the data's")
        return []
    unknown.append(
        f"which {len(data.classes)} of the network's {count} classes the data has: set "
        "classes = [...] in [suite.output]"
    )
    return []


def _plain(name: str) -> str:
    return name.casefold().replace("_", " ").replace("-", " ").strip()


def _short(order: Sequence[int]) -> str:
    shown = ", ".join(map(str, order[:8]))
    return f"[{shown}{', ...' if len(order) > 8 else ''}]"


def _classifier(
    model: ModelFacts, data: DataFacts, lines: list[Line], unknown: list[str]
) -> dict[str, Any]:
    shape = model.shapes[0] if model.shapes else ()
    if len(shape) != 2:
        raise RecipeError(
            f"the first output is {_shown(shape)}",
            where=str(model.file),
            valid="(N, C), a score for each class",
        )
    scores = model.last in {"Softmax", "Sigmoid"}
    activation = "none" if scores else "softmax"
    why = f"the last operator is {model.last or 'unknown'}"
    lines.append(Line("activation", activation, why))
    output: dict[str, Any] = {"activation": activation}
    order = _order(model, data, _count(shape[1]), lines, unknown)
    return {**output, "classes": order} if order else output


def _sized(
    model: ModelFacts, default: int, lines: list[Line], unknown: list[str]
) -> dict[str, Any]:
    if model.size is not None:
        height, width = model.size
        why = f"the input is {model.image}"
        lines.append(Line("size", f"{height} x {width}", why))
        return {"size": [height, width]}
    unknown.append(
        f"the size of images: the graph takes any. {default} x {default} is usual: set size in "
        "[suite.input]"
    )
    return {"size": [default, default]}


def _bytes(lines: list[Line], unknown: list[str]) -> dict[str, Any]:
    """No keys: pixels as they are."""
    lines.append(Line("pixels", "0 to 255", "the input is uint8"))
    unknown.append("the order of colours, and whether pictures are letterboxed")
    return {}


def _detector_pixels(
    model: ModelFacts, decoder: str, lines: list[Line], unknown: list[str]
) -> dict[str, Any]:
    pixels = _sized(model, 640, lines, unknown)
    if model.image.kind == "uint8":
        return pixels | _bytes(lines, unknown)
    if decoder in {"ultralytics", "ultralytics_nms", "yolov5"}:
        lines.append(Line("pixels", "0 to 1, letterbox on grey 114", f"usual for {decoder}"))
        return pixels | _AROUND | _opencv(unknown)
    if decoder in {"detr", "mmdeploy_nms"} and not model.normalises:
        lines.append(Line("pixels", "ImageNet's mean and std", f"usual for {decoder}"))
        unknown.append("mean and std of pixels: [suite.input] has ImageNet's")
        return pixels | _IMAGENET
    lines.append(Line("pixels", "0 to 1", "no other hint"))
    unknown.append("mean and std of pixels, and whether pictures are letterboxed")
    return pixels


def _opencv(unknown: list[str]) -> dict[str, Any]:
    """The library that resizes for Ultralytics, where it is installed."""
    needed = registry.from_extra("cv2", "opencv")
    if not needed.missing:
        return {"by": "opencv"}
    unknown.append(
        f'the scores with OpenCV, which is not installed: {needed.install}, and by = "opencv" in '
        "[suite.input]"
    )
    return {}


def _classifier_pixels(model: ModelFacts, lines: list[Line], unknown: list[str]) -> dict[str, Any]:
    pixels = _sized(model, 224, lines, unknown)
    if model.image.kind == "uint8":
        return pixels | _bytes(lines, unknown)
    if model.task == "classify":
        height, width = pixels["size"]
        lines.append(Line("pixels", "0 to 1, the middle", "usual for Ultralytics' classifiers"))
        if height == width:
            return {"size": height, "resize": "shorter_side", "crop": height}
        unknown.append("how pictures become the size, which is no square")
        return pixels
    if model.normalises:
        lines.append(Line("pixels", "0 to 1", "the graph begins with a normalisation"))
        return pixels
    lines.append(Line("pixels", "ImageNet's mean and std", "usual, and the graph has none"))
    unknown.append("mean and std of pixels: [suite.input] has ImageNet's")
    return pixels | _IMAGENET

"""Task, decoder and pre-processing of a model, guessed from its file and a folder of data, for
`pytest-perfgate init`: each guess with its evidence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pytest_perfgate import registry
from pytest_perfgate.cli import init_forms
from pytest_perfgate.cli.init_annotations import sigmas
from pytest_perfgate.cli.init_data import LOOKED_FOR
from pytest_perfgate.cli.init_decodings import Decoding, decodings, known_length, shape_text
from pytest_perfgate.cli.init_facts import (
    CLASSIFICATION,
    CLIPS,
    DETECTION,
    INSTANCES,
    ORIENTED,
    PANOPTIC,
    POSE,
    SEGMENTATION,
    TASKS,
    TRACKING,
    DataFacts,
)
from pytest_perfgate.cli.init_forms import Form
from pytest_perfgate.cli.init_model import ModelFacts
from pytest_perfgate.errors import RecipeError
from pytest_perfgate.tasks.pixels.fitted_inputs import guessed

_ULTRALYTICS = {
    "detect": DETECTION,
    "segment": INSTANCES,
    "classify": CLASSIFICATION,
    "pose": POSE,
    "obb": ORIENTED,
    "semantic": SEGMENTATION,
}
"""Tasks by Ultralytics' names."""

_BY_OUTPUTS = (CLIPS, CLASSIFICATION, DETECTION, INSTANCES, PANOPTIC, SEGMENTATION)
"""Tasks that outputs alone tell, in this order; rotated boxes and keypoints look like classes."""

_IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
_AROUND = {"resize": "letterbox", "pad_value": 114, "pad": "around"}


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
        shifts: whether the outputs have scores, whose shift can be budgeted.
    """

    task: str
    input: Mapping[str, Any]
    output: Mapping[str, Any]
    lines: tuple[Line, ...]
    unknown: tuple[str, ...]
    shifts: bool = True


def wanted(model: ModelFacts, task: str) -> str:
    """The task that the user or the file names; "" where neither does."""
    if task:
        return task
    return CLIPS if model.states else _ULTRALYTICS.get(model.task, "")


def named(data: DataFacts, model: ModelFacts) -> DataFacts:
    """A data set whose masks or labels have numbers without names has the network's."""
    if not data.unknown or not (SEGMENTATION in data.tasks or "labels" in data.truth):
        return data
    by_name = data.truth.get("label_format") == "voc"
    if set(data.classes) <= {*model.names} if by_name else len(model.names) >= len(data.classes):
        return replace(data, classes=model.names, unknown=())
    if SEGMENTATION not in data.tasks:
        return data
    form = init_forms.form(SEGMENTATION, model, data)
    count = max(len(data.classes), (form and form.classes) or 0)
    return replace(data, classes=tuple(f"class {index}" for index in range(count)))


def guess(model: ModelFacts, data: DataFacts, task: str = "", decode: str = "") -> Guess:
    """The guesses; `task` and `decode` are those that the user names.

    Raises:
        RecipeError: the outputs fit no task, or none of the task's decoders.
    """
    chosen, why = _task(model, data, task)
    lines = [Line("task", chosen, why)]
    unknown = list(data.unknown if data.scores(chosen) else ())
    if not data.scores(chosen):
        why = f"the data has no truth for {chosen}"
        lines.append(Line("scores", "agreement with the reference", why))
        data = replace(data, classes=())  # those of another task
    shifts = True
    if chosen in {CLASSIFICATION, CLIPS}:
        output = _classifier(model, data, lines, unknown)
        pixels = _classifier_pixels(model, lines, unknown)
    elif chosen in {DETECTION, TRACKING}:
        output, pixels = _detector(model, data, decode, lines, unknown)
    else:
        form = init_forms.form(chosen, model, data)
        if form is None:
            raise _fits_nothing(model, data)
        output, shifts = _of_form(form, model, data, lines, unknown), form.scores
        pixels = _form_pixels(form, model, lines, unknown)
        if chosen == POSE and data.scores(POSE) and sigmas(data.keypoints):
            unknown.append("the tolerance of each keypoint: set sigmas in [suite.data]")
    for name, taker in model.states.items():
        lines.append(Line("state", f"{name} to {taker}", "an output of the input's shape and type"))
    if model.others:
        pixels = {**pixels, "others": _others(model, lines, unknown)}
    return Guess(chosen, pixels, output, tuple(lines), tuple(unknown), shifts)


def _detector(
    model: ModelFacts, data: DataFacts, decode: str, lines: list[Line], unknown: list[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Keys of `[suite.output]` and `[suite.input]` of a detector, also before a tracker."""
    decoding = _decoding(model, data, decode)
    lines.append(Line("decoder", decoding.decoder, decoding.why))
    output: dict[str, Any] = {"decode": decoding.decoder, "options": dict(decoding.options)}
    order = _order(model, data, decoding.classes, lines, unknown)
    if order and decoding.decoder != "text_map":
        output["options"]["classes"] = order
    if not output["options"]:
        del output["options"]
    return output, _detector_pixels(model, decoding.decoder, lines, unknown)


def _of_form(
    form: Form, model: ModelFacts, data: DataFacts, lines: list[Line], unknown: list[str]
) -> dict[str, Any]:
    output = dict(form.output)
    lines.append(Line("output", str(next(iter(output.values()))), form.why))
    unknown += form.unknown
    if "keypoint" not in form.why:
        order = _order(model, data, form.classes, lines, unknown)
        if order and form.in_options:
            output["options"] = {"classes": order}
        elif order:
            output["classes"] = order
    return output


def _form_pixels(
    form: Form, model: ModelFacts, lines: list[Line], unknown: list[str]
) -> dict[str, Any]:
    pixels = _sized(model, 640 if form.pixels == "ultralytics" else 512, lines, unknown)
    if model.image.kind == "uint8":
        return pixels | _bytes(lines, unknown)
    if form.pixels == "ultralytics":
        lines.append(Line("pixels", "0 to 1, letterbox on grey 114", "usual for Ultralytics"))
        return pixels | _AROUND | _opencv(unknown)
    if form.pixels == "imagenet" and not model.normalises:
        lines.append(Line("pixels", "ImageNet's mean and std", "usual, and the graph has none"))
        unknown.append("mean and std of pixels: [suite.input] has ImageNet's")
        return pixels | _IMAGENET
    lines.append(Line("pixels", "0 to 1", "no other hint"))
    unknown.append("mean and std of pixels, and whether pictures are letterboxed")
    return pixels


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
        return _noted_task(model, data)
    outputs = f"outputs {' and '.join(map(shape_text, model.shapes))}"
    if len(model.shapes) == 1:
        outputs = f"one output {shape_text(model.shapes[0])}"
    for name in data.tasks:
        if init_forms.fits(name, model, data):
            return name, f"{outputs}, and the data has its truth"
    for name in _BY_OUTPUTS:
        if init_forms.fits(name, model, data):
            return name, outputs
    raise _fits_nothing(model, data)


def _noted_task(model: ModelFacts, data: DataFacts) -> tuple[str, str]:
    """By the metadata of the file, and by what the data has the truth of.

    Raises:
        RecipeError: the metadata has a task that no suite is written for.
    """
    if model.task not in _ULTRALYTICS:
        raise RecipeError(
            f"the metadata says that the task is {model.task!r}",
            where=str(model.file),
            valid=", ".join(_ULTRALYTICS),
            next_step="--task TASK",
        )
    task, why = _ULTRALYTICS[model.task], f"the metadata says task = {model.task}"
    if task == DETECTION and data.scores(TRACKING):
        return TRACKING, f"{why}, and the data has tracks"
    if task == INSTANCES and data.scores(DETECTION) and not data.scores(INSTANCES):
        return DETECTION, f"{why}, and the data has boxes without masks"
    return task, why


def _fits_nothing(model: ModelFacts, data: DataFacts) -> RecipeError:
    outputs = ", ".join(map(str, model.outputs))
    return RecipeError(
        f"the outputs fit no task: {outputs or 'none'}; the data has the truth of: "
        f"{', '.join(data.tasks) or f'no task, looked for {LOOKED_FOR}'}",
        where=str(model.file),
        valid="(N, C) of a classifier; of a detector (N, 4 + C, A), (N, A, 5 + C), (N, M, 6), "
        "(N, A, 4) and (N, A, C), (N, Q, C) and (N, Q, 4), (N, M, 5) and (N, M), (M, 7), or boxes, "
        "labels and scores; (N, C, h, w) of a segmenter; a table and prototypes (N, K, h, w), or "
        "boxes, labels, scores and masks of instances; (N, Q, C) and (N, Q, h, w), or ids and a "
        "table of panoptic segments; (N, 4 + C + 3K, A) or (N, K, h, w) of K keypoints; "
        "(N, 4 + C + 1, A) of rotated boxes",
        next_step=f"--task TASK ({', '.join(TASKS)}), and for detection --decode DECODER; other "
        "outputs need a decoder of your own",
    )


def _decoding(model: ModelFacts, data: DataFacts, decode: str) -> Decoding:
    fits = decodings(model.shapes, model.names, len(data.classes))
    if decode:
        own = [fit for fit in fits if fit.decoder == decode]
        return own[0] if own else Decoding(decode, len(model.names) or None, "--decode")
    if not fits:
        raise _fits_nothing(model, data)
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
            f"the first output is {shape_text(shape)}",
            where=str(model.file),
            valid="(N, C), a score for each class",
        )
    scores = model.last in {"Softmax", "Sigmoid"}
    activation = "none" if scores else "softmax"
    why = f"the last operator is {model.last or 'unknown'}"
    lines.append(Line("activation", activation, why))
    output: dict[str, Any] = {"activation": activation}
    order = _order(model, data, known_length(shape[1]), lines, unknown)
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

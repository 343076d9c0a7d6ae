"""From a segmenter's output to a class for each pixel of the original image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from pytest_perfgate.errors import DataError, RecipeError
from pytest_perfgate.tasks.pixels.geometry import Placed
from pytest_perfgate.tasks.pixels.input_options import Input
from pytest_perfgate.tasks.pixels.preprocessing import Pixels
from pytest_perfgate.tasks.segmentation import Segmentation
from pytest_perfgate.tasks.segmentation.data import sample_points
from pytest_perfgate.tasks.segmentation.output import Labelling, Output
from scipy.special import expit, softmax

pytest.importorskip("PIL")

RANDOM = np.random.default_rng(0)


def placed(height: int, width: int, **options: Any) -> tuple[Any, tuple[Placed, ...]]:
    """A random image as the network sees it, and how it lies there."""
    image = RANDOM.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Pixels(Input(**options)).read([image])


def read(output: Any, where: tuple[Placed, ...], **options: Any) -> Any:
    """What one image's output becomes."""
    (prediction,) = Labelling(Output(**options)).read((output,), where)
    return prediction


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize(
    ("original", "network", "cells"),
    [((60, 80), (64, 96), (16, 24)), ((33, 17), (64, 64), (8, 8)), ((50, 70), (50, 70), (50, 70))],
)
def test_enlarged_logits_are_those_of_torch(
    original: tuple[int, int], network: tuple[int, int], cells: tuple[int, int], aligned: bool
) -> None:
    """A stretched image: torch's `interpolate` from the output to the original size; with
    `align_corners` first to the network's.
    """
    torch = pytest.importorskip("torch")
    logits = RANDOM.normal(size=(1, 5, *cells)).astype(np.float32)
    _, where = placed(*original, size=network)
    prediction = read(logits, where, align_corners=aligned)
    large = torch.from_numpy(logits)
    if aligned:  # corners of the input, which are not those of a stretched image
        rows, columns = (
            (torch.arange(n) + 0.5) * size / n - 0.5
            for n, size in zip(original, network, strict=True)
        )
        at = [2 * one / (size - 1) - 1 for one, size in zip((rows, columns), network, strict=True)]
        grid = torch.stack(torch.meshgrid(at[1], at[0], indexing="xy"), -1)[None].float()
        large = torch.nn.functional.grid_sample(
            large, grid, mode="bilinear", padding_mode="border", align_corners=True
        )
    else:
        large = torch.nn.functional.interpolate(large, size=original, mode="bilinear")
    expected = large[0].numpy()
    top = np.sort(expected, axis=0)
    sure = top[-1] - top[-2] > 1e-4  # elsewhere rounding decides
    assert sure.mean() > 0.99
    np.testing.assert_array_equal(prediction.labels[sure], expected.argmax(axis=0)[sure])
    rows, columns = sample_points(*original)
    np.testing.assert_allclose(
        prediction.scores, softmax(expected, axis=0)[:, rows, columns].T, atol=1e-4
    )


@pytest.mark.parametrize("pad", ["end", "around"])
@pytest.mark.parametrize("original", [(40, 80), (80, 40), (30, 31)])
@pytest.mark.parametrize("stride", [1, 2, 4])
def test_letterbox_is_undone(pad: str, original: tuple[int, int], stride: int) -> None:
    """A network that finds the bright half finds it at its place in the original image: the border
    is off by less than a cell.
    """
    image = np.zeros((*original, 3), np.uint8)
    image[:, original[1] // 2 :] = 255
    options = Input(size=(64, 96), resize="letterbox", pad=pad, multiple=32)
    batch, where = Pixels(options).read([image])
    bright = batch[:, :1, ::stride, ::stride]
    prediction = read(np.concatenate([0.5 - bright, bright - 0.5], axis=1), where)
    wrong = prediction.labels != (image[..., 0] > 0)
    x_scale, _ = where[0].scale
    assert prediction.labels.shape == original
    assert wrong.any(axis=0).sum() <= 1 + stride / x_scale


def test_binary_outputs_have_a_threshold() -> None:
    """Logits by their sigmoid, or scores as they are; the second class is what is found."""
    _, where = placed(16, 16)
    logits = RANDOM.normal(size=(1, 1, 16, 16)).astype(np.float32)
    for output in (logits, logits[:, 0]):
        prediction = read(output, where, format="binary", threshold=0.7)
        np.testing.assert_array_equal(prediction.labels, expit(logits[0, 0]) >= 0.7)
        np.testing.assert_allclose(prediction.scores.sum(axis=1), 1.0, atol=1e-6)
        again = read(expit(output), where, format="binary", threshold=0.7, activation="none")
        np.testing.assert_array_equal(again.labels, prediction.labels)
    turned = read(logits, where, format="binary", threshold=0.7, classes=(1, 0))
    np.testing.assert_array_equal(turned.labels, expit(logits[0, 0]) < 0.7)


def test_labels_are_taken_from_the_cell_of_each_pixel() -> None:
    """Of any stride and number type, with a channel or without."""
    _, where = placed(20, 30, size=(32, 48))
    cells = RANDOM.integers(0, 7, (1, 8, 12))
    rows = ((np.arange(20) + 0.5) * 8 / 20).astype(int)
    columns = ((np.arange(30) + 0.5) * 12 / 30).astype(int)
    for output in (cells, cells[:, None], cells.astype(np.float32)):
        prediction = read(output, where, format="labels")
        np.testing.assert_array_equal(prediction.labels, cells[0][np.ix_(rows, columns)])
        assert prediction.scores is None
    some = read(cells, where, format="labels", classes=(4, 2))
    expected = np.where(cells == 4, 0, np.where(cells == 2, 1, 2))[0][np.ix_(rows, columns)]
    np.testing.assert_array_equal(some.labels, expected)


@pytest.mark.parametrize("form", ["classes", "binary", "labels"])
def test_channels_may_be_last(form: str) -> None:
    """As in models of TensorFlow."""
    _, where = placed(64, 96)
    channels = 3 if form == "classes" else 1
    output = RANDOM.integers(0, 3, (1, channels, 16, 24)).astype(np.float32)
    first = read(output, where, format=form)
    last = read(output.transpose(0, 2, 3, 1), where, format=form, layout="NHWC")
    np.testing.assert_array_equal(first.labels, last.labels)


def test_classes_are_brought_into_the_order_of_the_data() -> None:
    """Channels are chosen before the best is; scores stay those among all channels."""
    _, where = placed(16, 16)
    logits = RANDOM.normal(size=(1, 4, 16, 16)).astype(np.float32)
    prediction = read(logits, where, classes=(3, 1))
    np.testing.assert_array_equal(prediction.labels, logits[0, 3] < logits[0, 1])
    rows, columns = sample_points(16, 16)
    expected = softmax(logits[0], axis=0)[[3, 1]][:, rows, columns].T
    np.testing.assert_allclose(prediction.scores, expected, atol=1e-6)
    with pytest.raises(DataError, match="has 4 classes, and classes = "):
        read(logits, where, classes=(4, 1))


FLOATS = np.zeros((1, 3, 16, 24), np.float32)


@pytest.mark.parametrize(
    ("output", "options", "problem", "cause"),
    [
        (np.zeros((1, 1000), np.float32), {}, r"shape \(1, 1000\)", "no grid"),
        (FLOATS[:, 0], {}, "shape", 'format = "binary"'),
        (FLOATS[:, 0].astype(np.int64), {}, "shape", 'format = "labels"'),
        (FLOATS[:, :1], {}, "one channel", 'format = "binary"'),
        (FLOATS, {"format": "labels"}, "shape", 'format = "classes"'),
        (FLOATS.transpose(0, 2, 3, 1), {}, "has 64 x 96 pixels", 'layout = "NHWC"'),
        (FLOATS, {"layout": "NHWC"}, "has 64 x 96 pixels", 'layout = "NCHW"'),
        (FLOATS[:, 0, :, :, None], {"format": "binary"}, "shape", 'layout = "NHWC"'),
        (FLOATS.transpose(0, 1, 3, 2), {}, "has 64 x 96 pixels", "height and width are exchanged"),
        (np.zeros((1, 3, 16, 96), np.float32), {}, "has 64 x 96 pixels", "first output"),
        (np.concatenate([FLOATS] * 2), {}, "shape", ""),
        (np.full_like(FLOATS, np.nan), {}, "NaN", ""),
        (FLOATS[:, 0] + 0.5, {"format": "labels"}, "not all indices", 'format = "binary"'),
        (FLOATS[:, 0] - 1, {"format": "labels"}, "not all indices", ""),
        (FLOATS.astype(np.int64), {}, "type int64", 'format = "labels"'),
        (FLOATS + 4, {"activation": "none"}, "from 4 to 4", 'activation = "softmax"'),
        (
            FLOATS[:, 0] - 3,
            {"format": "binary", "activation": "none"},
            "from -3 to -3",
            'activation = "sigmoid"',
        ),
    ],
)
def test_outputs_that_cannot_be_right(
    output: Any, options: dict[str, Any], problem: str, cause: str
) -> None:
    """An error names the shape or the values, and the likely cause."""
    _, where = placed(64, 96)
    with pytest.raises(DataError, match=problem) as caught:
        read(output, where, **options)
    assert cause in str(caught.value)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"format": "labels", "upsample": "bilinear"}, "labels cannot be interpolated"),
        ({"format": "labels", "activation": "softmax"}, "labels have no activation"),
        ({"format": "binary", "activation": "softmax"}, "a softmax over one channel"),
        ({"upsample": "nearest", "align_corners": True}, "align_corners"),
        ({"classes": (1, 1)}, "different indices"),
    ],
)
def test_options_that_do_not_fit_together(options: dict[str, Any], problem: str) -> None:
    """They are refused when the suite is read."""
    with pytest.raises(ValidationError, match=problem):
        Output(**options)


def test_a_part_of_an_image_has_no_class_for_the_rest() -> None:
    """A crop is refused: nothing is invented outside of it."""
    where = (Placed((1.0, 1.0), (100, 96), network=(64, 96), offset=(0, -18)),)
    with pytest.raises(DataError, match="only a part of the image"):
        read(FLOATS, where)


def test_the_nearest_cell_is_taken_where_declared() -> None:
    """No value is interpolated."""
    _, where = placed(64, 96)
    logits = RANDOM.normal(size=(1, 3, 16, 24)).astype(np.float32)
    prediction = read(logits, where, upsample="nearest")
    np.testing.assert_array_equal(
        prediction.labels, np.kron(logits[0].argmax(axis=0), np.ones((4, 4), int))
    )


def test_two_images_of_a_batch_are_two_predictions() -> None:
    """In their order, through the task's pipeline."""
    task = Segmentation()
    pipeline = task.pipeline(task.Input(size=(32, 32)), task.Output())
    images = [np.zeros((20, 30, 3), np.uint8), np.zeros((32, 32, 3), np.uint8)]
    _, meta = pipeline.preprocess(images)
    logits = np.zeros((2, 2, 8, 8), np.float32)
    logits[1, 1] = 1
    one, other = pipeline.postprocess((logits,), meta)
    assert (one.labels.shape, int(one.labels.max())) == ((20, 30), 0)
    assert (other.labels.shape, int(other.labels.min())) == ((32, 32), 1)


OWN = """
import numpy as np
from pytest_perfgate.tasks.segmentation.data import Segments

def read(outputs, infos):
    return [row.argmax(axis=0) for row in outputs[0]]

def with_scores(outputs, infos):
    return [Segments(row.argmax(axis=0), np.zeros((144, 3)), 3) for row in outputs[0]]

def floats(outputs, infos):
    return [row[0] for row in outputs[0]]

def few_scores(outputs, infos):
    return [Segments(row.argmax(axis=0), np.zeros((9, 3)), 3) for row in outputs[0]]

def negative(outputs, infos):
    return [row.argmax(axis=0) - 1 for row in outputs[0]]
"""


def test_a_function_of_the_project_gives_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Integers, or `Segments` with scores; everything else is an error that names the function. No
    other key stands beside it.
    """
    (tmp_path / "own_stages.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    task = Segmentation()

    def result(name: str) -> Any:
        wanted = task.Output(postprocess=f"own_stages:{name}")
        pipeline = task.pipeline(task.Input(), wanted)
        _, meta = pipeline.preprocess([np.zeros((16, 24, 3), np.uint8)])
        return pipeline.postprocess((FLOATS,), meta)[0]

    assert result("read").labels.dtype == np.uint8
    assert result("with_scores").channels == 3
    for name, problem in (
        ("floats", "float32"),
        ("few_scores", r"shape \(9, 3\)"),
        ("negative", "from -1"),
    ):
        with pytest.raises(DataError, match=problem) as caught:
            result(name)
        assert f"own_stages:{name}" in caught.value.where
    with pytest.raises(RecipeError, match="has no effect beside postprocess"):
        task.Output(postprocess="own_stages:read", format="labels")

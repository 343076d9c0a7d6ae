"""Outputs of panoptic networks: every form says the same segments."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.panoptic import Input, Output, PanopticSegmentation
from pytest_perfgate.tasks.panoptic.data import Panoptic, as_panoptic

SIDE = 64
STUFF: dict[str, Any] = {"semantic": {"stuff": [0, 1]}}
"""What a form needs to be told, where that is something."""


def read(outputs: tuple[Any, ...], size: int = SIDE, **options: Any) -> Panoptic:
    """What is read of one image of `size` x `size`, which the network sees as 64 x 64."""
    stages = PanopticSegmentation().pipeline(
        Input.model_validate({"size": [SIDE, SIDE]}), Output.model_validate(options)
    )
    _, meta = stages.preprocess([np.zeros((size, size, 3), np.uint8)])
    (prediction,) = stages.postprocess(outputs, meta)
    assert isinstance(prediction, Panoptic)
    return prediction


def truth(size: int = SIDE) -> Any:
    """Class 0 below, 1 above, and two squares of class 2, int64 (size, size) of class * 10 + n."""
    codes = np.zeros((SIDE, SIDE), np.int64)
    codes[:24] = 10
    codes[30:50, 8:24] = 21
    codes[34:60, 36:56] = 22
    return codes.repeat(size // SIDE, axis=0).repeat(size // SIDE, axis=1)


def outputs(form: str) -> tuple[Any, ...]:
    """The truth in a form."""
    codes = truth()
    if form == "encoded":
        return (np.where(codes % 10, codes // 10 * 1000 + codes % 10, codes // 10 * 1000)[None],)
    if form == "semantic":
        return (np.eye(3, dtype=np.float32)[codes // 10].transpose(2, 0, 1)[None] * 8,)
    if form == "segments":
        table = [[10, 1, 0.9], [22, 2, 0.7], [21, 2, 0.8], [99, 0, 0.5], [-1, 0, 0]]
        return np.where(codes == 0, 99, codes)[None], np.array([table], np.float32)
    masks = np.stack([np.where(codes == code, 6.0, -6.0) for code in (0, 10, 21, 22)])
    classes = np.full((5, 4), -4.0)
    classes[[0, 1, 2, 3, 4], [0, 1, 2, 2, 3]] = 4.0  # the last query is no object
    return classes[None].astype(np.float32), np.append(masks, masks[:1], 0)[None].astype(np.float32)


@pytest.mark.parametrize("size", [64, 128])
@pytest.mark.parametrize("form", ["segments", "encoded", "queries", "semantic"])
def test_every_form_says_the_same(form: str, size: int) -> None:
    """Each pixel is of the segment and class that it is of, but for the edges of queries."""
    prediction = read(outputs(form), size, format=form, **STUFF.get(form, {}))
    numbers, codes = prediction.map(), truth(size)
    assert sorted(prediction.categories.tolist()) == [0, 1, 2, 2]
    classes = np.append(-1, prediction.categories)[numbers]
    assert (classes == codes // 10).mean() > (0.97 if form in {"queries", "semantic"} else 0.9999)
    assert len({*numbers[(codes == 21) | (codes == 22)].tolist()} - {0}) >= 2
    assert (prediction.scores is None) == (form in {"encoded", "semantic"})


def test_classes_and_stuff_are_declared() -> None:
    """Classes of the network that the data has not are of no segment; queries of one kind of stuff
    become one segment.
    """
    prediction = read(outputs("segments"), format="segments", classes=[2, 0])
    assert sorted(prediction.categories.tolist()) == [0, 0, 1]
    assert (prediction.map()[:24] == 0).all()
    merged = read(outputs("queries"), format="queries", stuff=[2])
    assert sorted(merged.categories.tolist()) == [0, 1, 2]
    sure = read(outputs("queries"), format="queries", score_threshold=1.0)
    assert not len(sure.categories)


def test_regions_of_things_are_segments() -> None:
    """Pixels that touch by a corner are of one; small regions and other classes are of none, and
    all pixels of stuff are one segment.
    """
    labels = np.zeros((SIDE, SIDE), np.int64)
    labels[:8, :8] = labels[8:16, 8:16] = 1
    labels[30:32, 30:32] = 1  # 4 pixels
    labels[60:, :4] = labels[60:, 60:] = 2
    options: dict[str, Any] = {"format": "semantic", "semantic": {"format": "labels"}}
    every = read((labels[None],), **options)
    assert every.categories.tolist() == [0, 1, 1, 2, 2]
    numbers = every.map()
    assert numbers[0, 0] == numbers[15, 15] != numbers[31, 31] > 0
    large = read((labels[None],), **options, min_area=5, stuff=[0, 2])
    assert large.categories.tolist() == [0, 1, 2]
    assert (large.map()[30:32, 30:32] == 0).all()
    assert large.map()[63, 0] == large.map()[63, 63] > 0
    other = read((labels[None],), **options, classes=[0, 2])
    assert other.categories.tolist() == [0, 1, 1]
    assert (other.map()[:8, :8] == 0).all()


def test_a_score_of_one_class_is_a_map_of_classes() -> None:
    """By the options of a segmenter's output, its errors included."""
    score = np.where(truth() % 10 == 1, 0.4, 0.1).astype(np.float32)[None, None]
    binary = {"format": "binary", "activation": "none", "threshold": 0.3}
    prediction = read((score,), format="semantic", semantic=binary, stuff=[0])
    assert prediction.categories.tolist() == [0, 1]
    with pytest.raises(DataError, match="scores from 0 to 1 where activation is none"):
        read((score * 9,), format="semantic", semantic=binary)


def test_a_mask_that_is_covered_is_dropped() -> None:
    """By `overlap_threshold`: another query has most of its pixels."""
    classes, masks = outputs("queries")
    masks[0, 4] = np.where(truth() == 21, 2.0, -6.0)
    classes[0, 4] = [-4, -4, 3, -4]
    assert len(read((classes, masks), format="queries").categories) == 4
    masks[0, 4, 30:50, 24:34] = 6.0  # where no other query is
    masks[0, 0, 30:50, 24:34] = -6.0
    assert len(read((classes, masks), format="queries", overlap_threshold=0.3).categories) == 5


@pytest.mark.parametrize(
    ("given", "options", "words"),
    [
        ((np.zeros((1, 3, 8, 8)),), {"format": "segments"}, "(1, 3, 8, 8)"),
        ((np.zeros((1, 8, 8)), np.zeros((1, 4, 5))), {"format": "segments"}, "(N, S, 2 or 3)"),
        ((np.full((1, 8, 8), 0.5),), {"format": "encoded"}, "the map has the value 0.5"),
        (
            (np.ones((1, 8, 8), int), np.array([[[1, 0], [1, 2]]])),
            {"format": "segments"},
            "2 segments and 1 ids",
        ),
        ((np.ones((1, 8, 8), int), np.array([[[1, 0.5]]])), {"format": "segments"}, "0.5 stands"),
        ((np.zeros((2, 8, 8), int),), {"format": "encoded"}, "and N = 1"),
    ],
)
def test_outputs_of_another_form_are_refused(
    given: tuple[Any, ...], options: dict[str, Any], words: str
) -> None:
    """With their shapes or values, and what is valid."""
    with pytest.raises(DataError) as error:
        read(given, **options)
    assert words in str(error.value)


@pytest.mark.parametrize(
    "options",
    [
        {"stuff": [1]},
        {"divisor": 100},
        {"classes": [1, 1]},
        {"classes": [-1]},
        {"min_area": 2},
        {"semantic": {"format": "binary"}},
        {"format": "semantic", "semantic": {"classes": [1, 0]}},
        {"format": "semantic", "semantic": {"postprocess": "a:b"}},
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any]) -> None:
    """Before anything is built."""
    with pytest.raises(ValidationError):
        Output.model_validate(options)


def test_maps_of_an_own_function_are_taken() -> None:
    """A tuple of a map, categories and scores; segments without a pixel are left out."""
    result = as_panoptic((np.array([[0, 2], [2, 2]]), np.array([5, 6]), np.array([0.1, 0.2])))
    assert result.categories.tolist() == [6]
    assert result.scores == pytest.approx([0.2])
    assert result.map().tolist() == [[0, 1], [1, 1]]
    assert as_panoptic(result) is result
    for value in (np.zeros((2, 2)), (np.zeros((2, 2)), np.zeros(1, int))):
        with pytest.raises(DataError, match="valid: whole numbers"):
            as_panoptic(value)

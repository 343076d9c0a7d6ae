"""Fields of JSON as the outputs of a network."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_perfgate.artifact import OptionsModel
from pytest_perfgate.runtimes.json_answers import AnswerError, OutputField, Place, read_answer
from pytest_perfgate.tasks.decoders.suppressed import OriginalOptions, RtDetr

DETECTIONS = [
    {"box": {"xmin": 1, "ymin": 2, "xmax": 3, "ymax": 4}, "score": 0.5, "label": "cat"},
    {"box": {"xmin": 5, "ymin": 6, "xmax": 7.5, "ymax": 8}, "score": 1, "label": "dog"},
]
LISTED = [
    {"field": "box", "keys": ["xmin", "ymin", "xmax", "ymax"]},
    {"field": "score"},
    {"field": "label", "labels": ["dog", "cat"]},
]


class Mapping(OptionsModel):
    """The part of a runtime's options that says what an answer is."""

    outputs: tuple[OutputField, ...]
    images: Place | None = None
    rows: Place | None = None


def arrays(answer: Any, outputs: Any, count: int | None = None, **places: Any) -> Any:
    """The outputs in an answer."""
    options = Mapping.model_validate({"outputs": outputs, **places})
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    return read_answer(body, options.outputs, options.images, options.rows, count)


@pytest.mark.parametrize(
    ("answer", "places"),
    [
        (DETECTIONS, {"rows": ""}),
        ({"result": {"detections": DETECTIONS}}, {"rows": "result.detections"}),
        ({"a.b": [DETECTIONS]}, {"images": ["a.b"], "rows": ""}),
        ({"predictions": [{"found": DETECTIONS}]}, {"images": "predictions", "rows": "found"}),
    ],
)
def test_a_list_of_boxes_is_what_a_decoder_reads(answer: Any, places: Any) -> None:
    """Objects with numbers by names and labels as texts, wherever they stand."""
    boxes, scores, labels = arrays(answer, LISTED, **places)
    assert boxes.tolist() == [[[1, 2, 3, 4], [5, 6, 7.5, 8]]]
    assert scores.tolist() == [[0.5, 1]]
    assert labels.tolist() == [[1, 0]]
    ((corners, kept, categories),) = RtDetr().decode(
        (labels, boxes, scores), 0.1, OriginalOptions(), []
    )
    assert corners.tolist() == boxes[0].tolist()
    assert kept.tolist() == [0.5, 1]
    assert categories.tolist() == [1, 0]


def test_columns_and_no_boxes_at_all() -> None:
    """A list without entries has the columns that are declared."""
    outputs = [
        {"field": "boxes", "shape": [-1, 4]},
        {"field": "scores", "shape": [-1]},
        {"field": "names", "labels": ["dog", "cat"]},
    ]
    answer = {"boxes": [[1, 2, 3, 4]], "scores": [0.5], "names": ["cat"]}
    assert [array.shape for array in arrays(answer, outputs)] == [(1, 1, 4), (1, 1), (1, 1)]
    empty = arrays({"boxes": [], "scores": [], "names": []}, outputs)
    assert [array.shape for array in empty] == [(1, 0, 4), (1, 0), (1, 0)]
    assert [array.shape for array in arrays([], LISTED, rows="")] == [(1, 0, 4), (1, 0), (1, 0)]
    several = arrays({"boxes": [[], []], "scores": [[], []], "names": [[], []]}, outputs, count=2)
    assert [array.shape for array in several] == [(2, 0, 4), (2, 0), (2, 0)]


@given(
    st.lists(
        st.lists(
            st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=3, max_size=3
        ),
        min_size=1,
        max_size=4,
    )
)
def test_a_batch_of_numbers_comes_as_it_was(values: list[list[float]]) -> None:
    """Each number, in the order of images; as an array of all or as an entry for each."""
    (array,) = arrays({"x": values}, [{"field": "x"}], count=len(values))
    assert np.array_equal(array, np.array(values, np.float32))
    listed = [{"x": entry} for entry in values]
    (array,) = arrays(listed, [{"field": "x", "shape": [3]}], count=len(values), images="")
    assert np.array_equal(array, np.array(values, np.float32))


@pytest.mark.parametrize(
    ("answer", "outputs", "places", "words"),
    [
        ({"x": [1]}, [{"field": "y"}], {}, "the answer has no field 'y'; it is: x"),
        ({"x": {"a": 1}}, [{"field": "x.y"}], {}, "has no field 'x.y'; it is: a"),
        ([1], [{"field": "x"}], {}, r"has no field 'x'; it is: \[1\]"),
        ({"x": None}, [{"field": "x"}], {}, "something else than numbers: null"),
        ({"x": [True]}, [{"field": "x"}], {}, "something else than numbers"),
        ({"x": []}, [{"field": "x"}], {}, "something else than numbers"),
        ({"x": [[1], [1, 2]]}, [{"field": "x"}], {}, "different lengths"),
        ({"x": 10**400}, [{"field": "x"}], {}, "else than numbers"),
        (b'{"x": 1e999}', [{"field": "x"}], {}, "no float32"),
        ({"x": 1e39}, [{"field": "x"}], {}, "no float32"),
        ({"x": [1.5]}, [{"field": "x", "dtype": "int64"}], {}, "no int64"),
        ({"x": "bird"}, [{"field": "x", "labels": ["cat"]}], {}, "has bird, which is none of"),
        ({"x": [{"a": 1}]}, [{"field": "x", "keys": ["b"]}], {}, "'x' has no field 'b'"),
        ({"r": 1}, [{"field": "x"}], {"rows": "r"}, "'r' is no list: 1"),
        ({"r": [{}, {"x": 1}]}, [{"field": "x"}], {"rows": "r"}, "row 0 has no field 'x'"),
        ({"r": [{"x": [1]}]}, [{"field": "x"}], {"rows": "r"}, r"shape \[1, 1\], and \[-1\]"),
        ([{"x": 1}] * 2, [{"field": "x"}], {"images": ""}, "of 2 images, and the request has 1"),
        (b"\xff", [{"field": "x"}], {}, "is no JSON"),
        (b"", [{"field": "x"}], {}, "is no JSON: it is empty"),
    ],
)
def test_what_is_declared_otherwise_is_refused(
    answer: Any, outputs: Any, places: Any, words: str
) -> None:
    """With the name of the field and what stands there."""
    with pytest.raises(AnswerError, match=words):
        arrays(answer, outputs, **places)


def test_boxes_of_several_images_in_one_answer_need_one_number() -> None:
    """Rows that are filled up would be boxes that nobody sent."""
    with pytest.raises(AnswerError, match="different shapes") as caught:
        arrays([{"x": [1]}, {"x": [1, 2]}], [{"field": "x"}], count=2, images="")
    assert "batch" in caught.value.next_step

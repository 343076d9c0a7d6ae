"""What a model's file says of its inputs, beside what `[suite.input]` declares."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_perfgate.errors import RecipeError
from pytest_perfgate.inputs import Tensor
from pytest_perfgate.tasks import Task
from pytest_perfgate.tasks.detection import Detection, Input

IMAGES = Tensor("images", "float32", ("N", 3, 64, 64))
LAST = ("N", 64, 64, 3)
SIZES = Tensor("orig_target_sizes", "int64", ("N", 2))


def fit(*taken: Tensor, **options: Any) -> Any:
    """The keys that the file says."""
    return Detection().fit_input(Input.model_validate(options), taken)


@pytest.mark.parametrize(
    ("image", "keys"),
    [
        (IMAGES, {}),
        (Tensor("x", "float32", None), {}),
        (Tensor("x", "float32", ("b", "c", "h", "w")), {}),
        (Tensor("x", "float16", ("b", 3, "h", "w")), {"dtype": "float16"}),
        (Tensor("x", "uint8", ("b", 3, 8, 8)), {"dtype": "uint8"}),
        (Tensor("x", "float32", LAST), {"layout": "NHWC"}),
        (Tensor("x", "uint8", (1, "h", "w", 3)), {"dtype": "uint8", "layout": "NHWC"}),
        (
            Tensor("x", "int8", LAST, (0.5, -3)),
            {"dtype": "int8", "layout": "NHWC", "codes": {"scale": 0.5, "zero_point": -3}},
        ),
    ],
    ids=str,
)
def test_type_and_layout_are_the_files(image: Tensor, keys: dict[str, Any]) -> None:
    """What the file says needs no key; the usual network adds none."""
    assert fit(image) == keys
    assert fit(image, **keys) == keys  # the same, declared
    Input.model_validate(keys)


def test_codes_that_the_runtime_makes_of_floats_are_given_floats_or_bytes() -> None:
    """A .tflite file in 8 bits: floats unless bytes are declared; its layout is checked as ever."""
    image = Tensor("x", "uint8", LAST, (0.5, 3), takes_floats=True)
    assert fit(image) == fit(image, dtype="float32") == {"layout": "NHWC"}
    assert fit(image, dtype="uint8") == {"dtype": "uint8", "layout": "NHWC"}


@pytest.mark.parametrize(
    "options",
    [
        {"size": (64, 50), "multiple": 32},
        {"size": 64, "resize": "longer_side"},
        {"size": 80, "resize": "shorter_side", "crop": 64},
    ],
)
def test_a_size_that_the_network_takes_or_may_take_is_no_error(options: dict[str, Any]) -> None:
    """Padded, cropped, or another for each picture."""
    assert fit(IMAGES, **options) == {}


def test_an_input_beside_the_images_takes_the_files_type() -> None:
    """Whichever comes first in the graph."""
    declared = {"orig_target_sizes": {"rule": "original_size", "order": "wh"}}
    for taken in ((IMAGES, SIZES), (SIZES, IMAGES)):
        assert fit(*taken, others=declared) == {
            "others": {
                "orig_target_sizes": {
                    **{"rule": "original_size", "order": "wh", "per_image": False},
                    "dtype": "int64",
                }
            }
        }


@pytest.mark.parametrize(
    ("taken", "options", "where", "words"),
    [
        ([IMAGES], {"dtype": "uint8"}, "dtype", ("'uint8'", "images float32 (N, 3, 64, 64)")),
        (
            [Tensor("x", "uint8", LAST, (0.5, 3), takes_floats=True)],
            {"dtype": "int8"},
            "dtype",
            ("'int8'", "x uint8", 'dtype = "uint8"', '"float32"'),
        ),
        (
            [Tensor("x", "uint8", LAST, (0.5, 3), takes_floats=True)],
            {"size": (64, 96)},
            "size",
            ("64 x 96", "x uint8", "[64, 64]"),
        ),
        ([IMAGES], {"layout": "NHWC"}, "layout", ("'NHWC'", "images float32 (N, 3, 64, 64)")),
        ([Tensor("x", "float32", LAST)], {"layout": "NCHW"}, "layout", ("'NCHW'", "64, 64, 3")),
        (
            [Tensor("x", "float32", ("N", 4, 64, 64))],
            {},
            "color",
            ("3 channels", "(N, 4, 64", 'set color = "RGBA"'),
        ),
        ([Tensor("x", "int64", ("N", 3, 64, 64))], {}, "dtype", ("x int64",)),
        ([IMAGES], {"size": (64, 96)}, "size", ("64 x 96", "(N, 3, 64, 64)", "[64, 64]")),
        (
            [IMAGES],
            {"size": 80, "resize": "shorter_side", "crop": 32},
            "crop",
            ("32 x 32", "[64, 64]"),
        ),
        ([Tensor("x", "float32", ("N", 10))], {}, "", ("x float32 (N, 10)",)),
        ([Tensor("x", "int8", LAST)], {}, "codes", ("holds no scale", "codes = {")),
        (
            [Tensor("x", "int8", LAST, (0.5, 0))],
            {"codes": {"scale": 0.25}},
            "codes",
            ("scale = 0.25", "the scale 0.5"),
        ),
        ([IMAGES], {"others": {"y": {"value": 1}}}, "others.y", ("no input 'y'", "images")),
        ([SIZES], {"others": {SIZES.name: {"rule": "scale"}}}, "others", ("left for the images",)),
        (
            [IMAGES, SIZES],
            {"others": {SIZES.name: {"rule": "original_size", "dtype": "float32"}}},
            "others.orig_target_sizes",
            ("'float32'", "orig_target_sizes int64"),
        ),
        (
            [IMAGES, Tensor("t", "float32", (1,))],
            {"others": {"t": {"value": 0.5}}},
            "others.t",
            ("gives ()", "t float32 (1)", "shape"),
        ),
        (
            [IMAGES, Tensor("t", "float32", ("N", 3))],
            {"others": {"t": {"rule": "scale"}}},
            "others.t",
            ("scale gives (N, 2)", "t float32 (N, 3)"),
        ),
    ],
)
def test_what_does_not_fit_names_both_sides(
    taken: list[Tensor], options: dict[str, Any], where: str, words: tuple[str, ...]
) -> None:
    """The declared value, the file's, and the key."""
    with pytest.raises(RecipeError) as caught:
        fit(*taken, **options)
    assert caught.value.where == ".".join(filter(None, ("suite.input", where)))
    for word in words:
        assert word in str(caught.value)


def test_what_no_key_declares_is_named_with_the_line_to_write() -> None:
    """Name, type and shape of each, and the usual rule behind its name."""
    with pytest.raises(RecipeError) as caught:
        fit(
            Tensor("im_shape", "float32", ("N", 2)),
            Tensor("image", "float32", ("N", 3, 640, 640)),
            Tensor("scale_factor", "float32", ("N", 2)),
            Tensor("threshold", "float32", (1,)),
        )
    error = caught.value
    for shown in ("im_shape float32 (N, 2)", "scale_factor float32 (N, 2)", "threshold float32"):
        assert shown in error.problem
    assert error.next_step.startswith("add to [suite.input.others]: ")
    for line in (
        'im_shape = { rule = "resized_size", dtype = "float32" }',
        'scale_factor = { rule = "scale", dtype = "float32" }',
        'threshold = { value = [0.5], dtype = "float32" }',
    ):
        assert line in error.next_step


def test_a_task_without_these_keys_takes_images_in_floats() -> None:
    """Anything else is refused, with what it takes."""

    class Plain(Detection):
        Input = Task.Input

    assert Plain().fit_input(None, [IMAGES]) == {}
    for taken in ([IMAGES, SIZES], [Tensor("x", "uint8", LAST)], []):
        with pytest.raises(RecipeError, match="the network takes"):
            Plain().fit_input(None, taken)

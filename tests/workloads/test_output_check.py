"""Timed outputs beside the evaluated ones: what is kept, what is compared, what is refused."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.workloads import turn_times
from pytest_perfgate.workloads.evaluated_outputs import (
    EvaluatedOutputs,
    OutputRecorder,
    digest_predictions,
)
from pytest_perfgate.workloads.output_check import OutputCheck
from pytest_perfgate.workloads.output_comparison import compare
from pytest_perfgate.workloads.varied_images import ROUNDS, VariedImages

RANDOM = np.random.default_rng(7)
TURNS = range(8 * ROUNDS)


def recorded(*images: Sequence[Any], repeats: Sequence[Sequence[Any]] = ()) -> EvaluatedOutputs:
    """Outputs of images, and repeats of the first ones, with each image's sum as its prediction."""
    recorder = OutputRecorder()
    for index, outputs in enumerate(images):
        recorder.add(10 + index, outputs, digest_predictions(packed([outputs])))
    for number, outputs in enumerate(repeats):
        recorder.repeat(number, outputs)
    return recorder.finish()


def packed(predictions: Sequence[Any]) -> dict[str, Any]:
    """A task's `pack`, for predictions that are outputs."""
    return {"sums": np.array([float(np.nansum(outputs[0])) for outputs in predictions])}


def blank(count: int = 1) -> list[Any]:
    """Images of one colour."""
    return [np.full((64, 48, 3), 100, np.uint8) for _ in range(count)]


def detections(count: int) -> Any:
    """Boxes, scores and classes in rows of six: (1, count, 6)."""
    rows = RANDOM.uniform(0, 640, (1, count, 6)).astype(np.float32)
    rows[..., 4:] /= 640
    return rows


def test_what_was_kept_reads_back_and_has_no_gap_to_itself(tmp_path: Path) -> None:
    """Small and large outputs, whole numbers, NaN, infinity and none at all."""
    outputs = (
        RANDOM.normal(size=(1, 85, 3_000)).astype(np.float32),
        np.array([[np.nan, np.inf, -np.inf, 1.0]], np.float32),
        np.array([7], np.int64),
        np.zeros((0, 4), np.float32),
    )
    recorded(outputs).write(tmp_path / "outputs.npz")
    evaluated = EvaluatedOutputs.read(tmp_path / "outputs.npz")
    (image,) = evaluated.images
    assert (image.index, evaluated.spread, evaluated.responds) == (10, 0.0, False)
    assert compare(image.outputs, outputs).value == 0.0
    outputs[1][0, 1] = 5.0
    assert math.isinf(compare(image.outputs, outputs).value)
    assert (tmp_path / "outputs.npz").stat().st_size < 100_000


def test_a_few_of_many_values_that_stand_out_are_kept_in_their_channel() -> None:
    """Scores of five of 8,400 boxes, beside corners of hundreds of pixels."""
    output = np.zeros((1, 84, 8_400), np.float32)
    output[:, :4] = RANDOM.uniform(0, 640, (4, 8_400))
    output[0, 40, [5, 50, 500, 5_000, 8_000]] = 0.9
    (image,) = recorded((output,)).images
    timed = output.copy()
    timed[0, 40, [50, 5_000]] = 0.0
    gap = compare(image.outputs, (timed,))
    assert gap.value > 0.5
    assert (gap.output, gap.evaluated, gap.timed) == (0, "0.9", "0")
    assert gap.place in {" at (0, 40, 50)", " at (0, 40, 5000)"}


def test_detections_in_another_order_are_the_same_set_and_missing_ones_are_not() -> None:
    """One may come or go only where repeated inferences differ; a class's scores keep places."""
    rows = detections(60)
    (image,) = recorded((rows,)).images
    assert compare(image.outputs, (rows[:, ::-1],), 0.02).value == 0.02
    assert math.isinf(compare(image.outputs, (rows[:, :-1],), 0.02, strays=False).value)
    assert compare(image.outputs, (rows[:, :-1],), 0.02, strays=True).value == 0.02
    assert math.isinf(compare(image.outputs, (rows[:, ::2],), 0.02, strays=True).value)
    scores = RANDOM.normal(size=(1, 60)).astype(np.float32)
    (image,) = recorded((scores,)).images
    assert compare(image.outputs, (scores[:, ::-1],), 0.02).value > 0.5


def test_no_two_turns_share_an_input_but_those_that_shall() -> None:
    """The first round repeats its untimed turn, the third shows an image as it is."""
    plain = blank(3)
    varied = VariedImages([image.copy() for image in plain])
    inputs = {number: varied.image(number).tobytes() for number in TURNS}
    as_they_are = {number for number in TURNS if inputs[number] == plain[0].tobytes()}
    assert as_they_are == {number for number in TURNS if number % ROUNDS == 2}
    fresh = [inputs[number] for number in TURNS if number not in as_they_are]
    assert len(set(fresh)) == len(fresh)
    changed = np.abs(varied.image(1).astype(int) - plain[0])
    assert changed.max() == 1
    assert changed.mean() < 0.2
    # A launch's arms share pages: the same number is the same input in each of them.
    assert VariedImages(blank(3)).image(21).tobytes() == inputs[21]


@pytest.mark.parametrize("count", [1, 5, 24, 64])
def test_visits_come_by_every_image_as_often_as_by_any_other(count: int) -> None:
    """As many visits as images: a change that slows down one of them is met as often as by chance;
    the second and third round of a visit show the same one.
    """
    varied = VariedImages([np.zeros((1, 1, 3), np.uint8) for _ in range(count)])
    shown = [varied.index(number) for number in range(count * ROUNDS)]
    assert [shown.count(index) for index in range(count)] == [ROUNDS] * count
    assert shown[1::ROUNDS] == shown[2::ROUNDS]


def turn(check: OutputCheck, number: int, output: Any, later: Any = None) -> None:
    """A turn that gives this output, and another when it is post-processed once more."""
    check.image(number)
    later = output if later is None else later
    check.inspect(number, (output,), [(output,)], lambda: [(later,)], 0.01)


def test_outputs_that_change_after_the_timed_call_are_refused() -> None:
    """Post-processing read them too early: what it made of them is not what they are."""
    right = np.array([[1.0, 2.0, 3.0]], np.float32)
    evaluated = recorded((right,))
    check = OutputCheck(blank(), evaluated, packed, 0.02)
    turn(check, 2, right)
    check.image(6)
    early = np.zeros_like(right)
    with pytest.raises(RuntimeFault, match="the outputs changed after the timed call"):
        check.inspect(6, (right,), [(early,)], lambda: [(right,)], 0.01)


def test_outputs_that_differ_as_repeated_ones_did_are_allowed() -> None:
    """Three times as far; where repeats differ so much that anything would do, it is an error."""
    right = np.array([[1.0, 2.0, 4.0]], np.float32)
    check = OutputCheck(blank(), recorded((right,), repeats=[(right * 0.95,)]), packed, 0.02)
    turn(check, 2, right * 0.9)
    with pytest.raises(RuntimeFault, match=r"validation image 10, output 0 at \(0, 2\) was 4 when"):
        turn(check, 2, right * 0.8)
    noisy = recorded((right,), repeats=[(right * 0.5,)])
    with pytest.raises(RuntimeFault, match=r"two inferences of one image differ by 0\.5") as error:
        turn(OutputCheck(blank(), noisy, packed, 0.02), 2, right)
    assert "output_tolerance = 1.5" in error.value.next_step
    turn(OutputCheck(blank(), noisy, packed, 1.5), 2, right)


def steep_map(random: np.random.Generator, flipped: int) -> Any:
    """A map of probabilities in which `flipped` of its values are on the other side of a step."""
    output = np.zeros((1, 1, 40, 40), np.float32)
    output[0, 0, 5:15, 5:35] = 0.9
    at = random.integers(0, 40, (2, flipped))
    output[0, 0, at[0], at[1]] = 0.9 - output[0, 0, at[0], at[1]]
    return output


@pytest.mark.parametrize("shown", [True, False])
def test_single_values_that_a_lowest_bit_moves_far_are_of_the_same_image(shown: bool) -> None:
    """A network in 8 bits moves some by half of their range and more; another image moves many."""
    random = np.random.default_rng(3)
    right = steep_map(random, 0)
    recorder = OutputRecorder()
    recorder.add(10, (right,), digest_predictions(packed([(right,)])))
    for _ in range(3):
        recorder.vary(0, (steep_map(random, 3),))
    evaluated = recorder.finish()
    assert evaluated.moved < 0.1
    check = OutputCheck(blank(), evaluated, packed, 0.02)
    for number in TURNS:
        varied = steep_map(random, 4) if shown else right[:, :, ::-1]
        turn(check, number, right if number % ROUNDS == 2 else varied)
    if shown:
        check.conclude()
        return
    with pytest.raises(RuntimeFault, match=r"not those of the images shown.*by root mean square"):
        check.conclude()


def test_rows_of_a_batch_are_those_of_its_images_or_half_of_them_differ() -> None:
    """Rounding in one of them is none of its business, another order of images is."""
    outputs = [RANDOM.normal(size=(1, 50)).astype(np.float32) for _ in range(4)]
    check = OutputCheck(blank(4), recorded(*[(output,) for output in outputs]), packed, 0.02)
    rows = np.concatenate([outputs[(2 * 3 + place) % 4] for place in range(3)])
    check.inspect_batch(2, 3, (rows,))
    rows[0] = 0.0
    check.inspect_batch(2, 3, (rows,))
    check.inspect_batch(3, 3, (rows[::-1],))  # varied images: nothing is known of them
    with pytest.raises(RuntimeFault, match="the timed output of a batch of 3 is not the evaluated"):
        check.inspect_batch(2, 3, (np.zeros_like(rows),))
    assert [image.max() for image in check.batch(2, 3)] == [100] * 3
    assert all(image.max() > 100 or image.min() < 100 for image in check.batch(5, 3))


def batch_check(
    offset: float = 0.0, values: int = 4, moved: float = 1e-4
) -> tuple[OutputCheck, Any]:
    """Eight images that differ by a few hundredths of `offset`, and the rows of their batch."""
    random = np.random.default_rng(5)
    rows = (offset + random.normal(size=(8, values))).astype(np.float32)
    recorder = OutputRecorder()
    for index, row in enumerate(rows):
        recorder.add(index, (row[None],), "")
    size = np.abs(rows).max()
    recorder.vary(0, (rows[:1] + moved * size * random.choice([-1, 1], rows[:1].shape),))
    return OutputCheck(blank(8), recorder.finish(), packed, 0.02), rows


@pytest.mark.parametrize("wrong", [[7], [5, 6, 7], list(range(8))])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_of_a_batch_that_is_not_finite_is_an_error(wrong: list[int], value: float) -> None:
    """Whatever the share of the images; one that was so at the evaluation is none."""
    check, rows = batch_check()
    rows[wrong, 1] = value
    with pytest.raises(RuntimeFault, match="is not finite where the evaluated one was"):
        check.inspect_batch(2, 8, (rows,))
    recorder = OutputRecorder()
    for index, row in enumerate(rows):
        recorder.add(index, (row[None],), "")
    check = OutputCheck(blank(8), recorder.finish(), packed, 0.02)
    check.inspect_batch(2, 8, (rows,))


def test_detections_of_a_batch_that_are_not_finite_are_an_error() -> None:
    """Also where the rows of its images cannot be told apart, and had numbers alone."""
    alone = [detections(count)[0] for count in (2, 0, 3)]
    check = OutputCheck(blank(3), recorded(*[(rows,) for rows in alone]), packed, 0.02)
    rows = np.concatenate([*alone[:2], alone[2][:2]])
    check.inspect_batch(2, 3, (rows,))
    rows[1, 4] = np.nan
    with pytest.raises(RuntimeFault, match="output 0 has 1 such values of 24"):
        check.inspect_batch(2, 3, (rows,))
    alone[2][0, 4] = np.nan
    check = OutputCheck(blank(3), recorded(*[(rows,) for rows in alone]), packed, 0.02)
    check.inspect_batch(2, 3, (rows,))


@pytest.mark.parametrize("offset", [0.0, 30.0])
@pytest.mark.parametrize("copies", [[1], [5, 6, 7], list(range(1, 8))])
def test_the_answer_of_another_image_of_the_batch_is_an_error(
    copies: list[int], offset: float
) -> None:
    """Of one image or of all, and where all outputs have a large offset in common."""
    check, rows = batch_check(offset)
    check.inspect_batch(2, 8, (rows,))
    rows[copies] = rows[0]
    with pytest.raises(RuntimeFault, match="images of a batch have one answer, to the last bit"):
        check.inspect_batch(2, 8, (rows,))


def test_answers_that_rounding_may_make_alike_are_no_error() -> None:
    """Images as near to each other as their variations, single labels, and one image twice."""
    check, rows = batch_check(30.0, moved=0.03)
    rows[1:4] = rows[0]
    check.inspect_batch(2, 8, (rows,))
    check, rows = batch_check(values=1)
    rows[1] = rows[0]
    check.inspect_batch(2, 8, (rows,))
    rows[1:] = rows[0]
    with pytest.raises(RuntimeFault, match="8 of 8 images of a batch have one answer"):
        check.inspect_batch(2, 8, (rows,))
    check, rows = batch_check()
    check.inspect_batch(2, 16, (np.concatenate([rows, rows]),))


def in_a_batch(pixels: Any, bits: int) -> Any:
    """Logits (N, 4) of a network whose activations are quantized by the range of the batch."""
    weights = np.random.default_rng(2).normal(size=(pixels.shape[1], 4)).astype(np.float32)
    low, high = pixels.min(), pixels.max()
    step = max((high - low) / (2**bits - 1), 1e-9)
    return (np.round((pixels - low) / step) * step + low).astype(np.float32) @ weights + 20


@pytest.mark.parametrize("bits", [8, 4])
def test_scales_of_a_batch_are_no_error(bits: int) -> None:
    """Quantization by the range of a batch: other outputs than alone, and a few values of them."""
    random = np.random.default_rng(3)
    pixels = random.normal(size=(8, 24)).astype(np.float32) * random.uniform(0.05, 3, (8, 1))
    recorder = OutputRecorder()
    for index in range(8):
        recorder.add(index, (in_a_batch(pixels[[index]], bits),), "")
    for index in range(3):
        recorder.vary(index, (in_a_batch(pixels[[index]] + 0.004, bits),))
    check = OutputCheck(blank(8), recorder.finish(), packed, 0.02)
    for size in (2, 3, 8):
        for number in range(2, 2 + 8 * ROUNDS, ROUNDS):
            rows = [(number * size + place) % 8 for place in range(size)]
            check.inspect_batch(number, size, (in_a_batch(pixels[rows], bits),))


@pytest.mark.parametrize(
    ("output", "name"),
    [
        ([1.0], "a builtins.list"),
        (np.array([None]), "an array of object"),
        (np.ma.zeros(3), "a numpy.ma.MaskedArray"),
        (np.float32(1.0), "a numpy.float32"),
    ],
)
def test_an_output_is_an_array_of_numbers(output: Any, name: str) -> None:
    """Anything else may compute when it is read."""
    with pytest.raises(RuntimeFault, match=name):
        turn(OutputCheck(blank()), 0, output)


@pytest.mark.parametrize(("known", "refused"), [(0.004, True), (0.008, False), (0.03, False)])
def test_known_inputs_take_as_long_as_fresh_ones(
    monkeypatch: pytest.MonkeyPatch, known: float, refused: bool
) -> None:
    """An outlier among them does not hide it, and does not look like it."""
    monkeypatch.setattr(turn_times, "seconds_waited_here", lambda: 0.0)
    check = OutputCheck(blank(2))
    right = np.zeros((1, 3), np.float32)
    for number in TURNS:
        for again in range(2 if number % ROUNDS == 0 else 1):
            check.image(number)
            seconds = known if again else 0.01
            seconds *= 5 if number in {0, 9} else 1
            check.inspect(number, (right,), [], list, seconds)
    if not refused:
        check.conclude()
        return
    with pytest.raises(RuntimeFault, match=r"just seen takes 4 ms, and one .* not seen 10 ms"):
        check.conclude()
    check.forget()
    check.conclude()

"""`[suite.state]`: what is read of a recurrent network's file, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_perfgate.artifact import ONNX, Artifact
from pytest_perfgate.building import runtime_check
from pytest_perfgate.building.suite_data import SuiteData
from pytest_perfgate.runtimes import OpenContext
from pytest_perfgate.runtimes.onnxruntime import OnnxRuntime
from pytest_perfgate.state import Feedback
from pytest_perfgate.suite.reading import SuiteFile, read

from tests.clips import SUITE, clip_folder, clips_model

FUNCTION = 'model = "model:build"'


def suite(folder: Path, text: str, *, states_first: bool = False) -> SuiteFile:
    """The suite with this text, beside the network's file."""
    pytest.importorskip("onnx", reason="python -m pip install 'pytest-perfgate[onnx]'")
    clips_model(folder / "clips.onnx", states_first=states_first)
    (folder / "recipes.toml").write_text(text)
    return read(folder / "recipes.toml", folder)


@pytest.mark.parametrize("states_first", [False, True])
def test_a_file_says_where_states_are_and_what_shape_they_have(
    tmp_path: Path, *, states_first: bool
) -> None:
    """Outputs by their names, wherever they stand; a batch is any number of sequences."""
    state = suite(tmp_path, SUITE, states_first=states_first).suite
    assert state is not None
    places = (0, 1) if states_first else (1, 2)
    assert state.state == (
        Feedback("first_out", "first", places[0], ("N", 1)),
        Feedback("known_out", "known", places[1], ("N", 1)),
    )
    assert state.recipes["plain"].workload.name == "frames"


def test_a_function_gives_states_as_its_last_outputs(tmp_path: Path) -> None:
    """Their shapes are declared, for no file says them."""
    text = SUITE.replace('model = "clips.onnx"', FUNCTION)
    text = text.replace('"first"', '{ input = "first", shape = [2, 1, 64], value = 0.5 }')
    text = text.replace('"known"', '{ input = "known", shape = ["N", 8] }')
    state = suite(tmp_path, text).suite
    assert state is not None
    assert state.state == (
        Feedback("first_out", "first", -2, (2, 1, 64), 0.5),
        Feedback("known_out", "known", -1, ("N", 8)),
    )


def test_a_state_of_one_sequence_is_never_given_a_batch(tmp_path: Path) -> None:
    """Steps and checks that ask for examples of several images get one, with the state as it is."""
    text = SUITE.replace('"first"', '{ input = "first", shape = [1, 1], value = 0.25 }')
    result = suite(tmp_path, text).suite
    assert result is not None
    clip_folder(tmp_path / "validation", 2, 2)
    data = SuiteData(result)
    example = data.example(4)
    assert len(example) == 1
    assert example.constants == {"first"}
    assert example.others["first"].tolist() == [[0.25]]
    assert example.others["known"].tolist() == [[0.0]]


def test_a_runtime_is_compared_with_states_that_the_network_has_left(tmp_path: Path) -> None:
    """From the second frame on, its state is no longer the initial one."""
    pytest.importorskip("onnxruntime", reason="python -m pip install 'pytest-perfgate[onnx]'")
    result = suite(tmp_path, SUITE).suite
    assert result is not None
    clip_folder(tmp_path / "validation", 2, 3)
    runtime = OnnxRuntime()
    artifact = Artifact(ONNX, path=tmp_path / "clips.onnx")
    session = runtime.open(artifact, runtime.Options(), OpenContext(1, tmp_path))
    inputs = runtime_check.probed_images(SuiteData(result), session)
    assert inputs.others["known"][:, 0].tolist() == [0.0, 1.0, 1.0, 0.0, 0.0]
    first = inputs.others["first"][:, 0]
    assert first[0] == 0.0 < first[1] == first[2]


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (('first_out = "first"', 'frist_out = "first"'), ("no output 'frist_out'", "first_out")),
        (('"first"', '"frist"'), ("no input 'frist'", "did you mean 'first'")),
        (
            ('"first"', '{ input = "first", shape = ["N", 3] }'),
            ("shape = ['N', 3] is declared, and the file takes first float32 (N, 1)",),
        ),
        (('"first"', '{ input = "first", shape = [2, "N"] }'), ("as the first one", "transpose")),
        (('"first"', '{ input = "first", shape = [0] }'), ("it is no shape", "1 to 65,536")),
        (
            ('"first"', '{ input = "first", dtype = "int64" }'),
            ("dtype = 'int64' is declared, and the file takes",),
        ),
        (('known_out = "known"', 'known_out = "first"'), ("is fed by 'first_out' too",)),
        (('known_out = "known"\n', ""), ("known float32 (N, 1)", "beside the images")),
        (
            ("[suite.state]", "[suite.input.others]\nknown = { value = [0] }\n[suite.state]"),
            ("'known' is in [suite.input.others] too",),
        ),
        (
            ('task  = "clip_classification"', 'task  = "classification"'),
            ("takes images in any order", "clip_classification"),
        ),
        (
            ('model = "clips.onnx"', FUNCTION),
            ("the shape of the state 'first' is not known", 'shape = ["N", 64]'),
        ),
    ],
)
def test_a_state_that_cannot_be_is_refused_when_the_suite_is_read(
    tmp_path: Path, change: tuple[str, str], parts: tuple[str, ...]
) -> None:
    """One message with the key, the value and what is valid."""
    problem, *_ = suite(tmp_path, SUITE.replace(*change)).suite_problems
    text = str(problem)
    assert "recipes.toml: suite." in text
    for part in parts:
        assert part in text


def test_workloads_of_another_order_are_refused(tmp_path: Path) -> None:
    """Images in any order would mix sequences; frames need sequences."""
    text = SUITE.replace('"onnxruntime"', '"onnxruntime"\nworkload = "batches"')
    (problem,) = suite(tmp_path, text).problems["plain"]
    assert "the workload 'batches' takes images in any order" in str(problem)
    assert problem.valid == "frames, training"
    head, _, recipe = text.replace("batches", "frames").partition("[suite.state]")
    plain = head.replace("clip_classification", "classification") + recipe[recipe.index("[[") :]
    plain = plain.replace("clips.onnx", "model:build").replace('"onnxruntime"', '"torch"')
    (problem,) = suite(tmp_path, plain).problems["plain"]
    assert "the images of the task 'classification' have no order" in str(problem)

"""A runtime that gives other numbers for a .tflite file than LiteRT is an error before anything is
measured.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pytest_perfgate import registry
from pytest_perfgate.artifact import TFLITE, Artifact
from pytest_perfgate.building import tflite_check
from pytest_perfgate.building.artifact_handle import ArtifactHandle
from pytest_perfgate.building.tflite_check import check_tflite
from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.records.recipe import ModelSpec, Recipe, RuntimeSpec
from pytest_perfgate.registry import Requirement
from pytest_perfgate.runtimes import InferenceSession, OpenContext
from pytest_perfgate.runtimes.litert import LiteRt, LiteRtSession
from pytest_perfgate.runtimes.openvino import OpenVino
from pytest_perfgate.runtimes.wrapping_session import WrappingSession

SHAPE = (32, 32, 3)
FILE = Path(__file__).parents[1] / "sources" / "channels_last.tflite"
NEAREST = Path(__file__).with_name("nearest.tflite")
"""Of TensorFlow's converter: tf.image.resize(x, (3, 4), "nearest") of pictures (5, 7, 3)."""
pytest.importorskip("openvino", reason="python -m pip install 'pytest-perfgate[openvino]'")


class Images:
    """What the check takes of a suite's data: bytes, and network inputs channels last."""

    def __init__(self, shape: tuple[int, int, int] = SHAPE) -> None:
        self._shape = shape

    def example(self, count: int) -> Any:
        """See `SuiteData`."""
        pixels = np.random.default_rng(0).random((count, *self._shape), np.float32)
        return Inputs(pixels, layout="NHWC")

    def images(self, _split: str, indices: list[int]) -> list[Any]:
        """See `SuiteData`."""
        return [np.zeros(self._shape, np.uint8) for _ in indices]

    @property
    def pipeline(self) -> Any:
        """A pipeline that scales bytes to [0, 1]."""
        return SimpleNamespace(
            preprocess=lambda images: (
                Inputs(np.stack(images).astype(np.float32) / 255, layout="NHWC"),
                None,
            )
        )


class Wrong(WrappingSession):
    """A session whose last output is clipped to `most`, or whose outputs have another order."""

    def __init__(self, session: InferenceSession, most: float = np.inf) -> None:
        super().__init__(session)
        self._most = most

    def run(self, inputs: Inputs) -> tuple[Any, ...]:
        """See `InferenceSession.run`."""
        *others, last = self._session.run(inputs)
        return np.minimum(last, self._most), *others


RECIPE = Recipe(
    name="r",
    parent="",
    reference="r",
    chain=(),
    own_steps=0,
    runtime=RuntimeSpec("openvino", {}),
    budgets=(),
)


def checked(
    folder: Path, *, most: float | None = None, recipe: Recipe = RECIPE, data: Any = None
) -> float | str | None:
    """What the check says of a session, whose last output is clipped to `most`; with `data` of its
    own, of the file that resizes.
    """
    file = FILE if data is None else NEAREST
    runtime = registry.find(registry.RUNTIMES, recipe.runtime.name)
    context = OpenContext(1, folder)
    options = runtime.Options(**dict(recipe.runtime.options))
    session = runtime.open(Artifact(TFLITE, path=file), options, context)
    if most is not None:
        session = Wrong(session, most)
    handle = ArtifactHandle(TFLITE, file, ModelSpec("m.tflite"))
    try:
        return check_tflite(recipe, handle, session, context, data or Images())
    finally:
        session.close()


def test_a_file_that_openvino_runs_is_compared_with_litert(tmp_path: Path) -> None:
    """Rounding is no difference, nor is another order of outputs; LiteRT is not compared with
    itself, and a tolerance of 2 leaves the comparison out.
    """
    pytest.importorskip("ai_edge_litert", reason="pip install 'pytest-perfgate[litert]'")
    for most in (None, np.inf):
        apart = checked(tmp_path, most=most)
        assert isinstance(apart, float)
        assert apart < 1e-4
    left_out = replace(RECIPE, runtime_tolerance=2.0)
    assert checked(tmp_path, most=-1.0, recipe=left_out) is None
    assert checked(tmp_path, recipe=replace(RECIPE, runtime=RuntimeSpec("litert", {}))) is None


def test_other_numbers_of_one_extreme_input_are_an_error(tmp_path: Path) -> None:
    """What only inputs beyond the images' range show is caught, and runtime, output and input are
    named.
    """
    pytest.importorskip("ai_edge_litert", reason="pip install 'pytest-perfgate[litert]'")
    data = Images()
    session = OpenVino().open(
        Artifact(TFLITE, path=FILE), OpenVino.Options(), OpenContext(1, tmp_path)
    )
    largest = max(session.run(data.example(4).take([row]))[-1].max() for row in range(4))
    session.close()
    with pytest.raises(RuntimeFault, match="openvino computes something else than LiteRT") as it:
        checked(tmp_path, most=float(2 * largest))
    assert "on noise, 10 times the range" in it.value.problem
    assert it.value.where == "recipe 'r': runtime"
    assert it.value.next_step == 'set runtime = "litert"'
    allowed = checked(
        tmp_path, most=float(2 * largest), recipe=replace(RECIPE, runtime_tolerance=1.9)
    )
    assert isinstance(allowed, float)
    assert allowed > 0.1


def test_openvino_is_caught_where_it_drops_half_pixel_centres(tmp_path: Path) -> None:
    """A nearest resize of TensorFlow 2 takes other pixels in OpenVINO, unless by a whole factor."""
    pytest.importorskip("ai_edge_litert", reason="pip install 'pytest-perfgate[litert]'")
    with pytest.raises(RuntimeFault, match="openvino computes something else than LiteRT") as it:
        checked(tmp_path, data=Images((5, 7, 3)))
    assert "output '0' differs by" in it.value.problem
    assert it.value.next_step == 'set runtime = "litert"'


def test_a_number_in_place_of_nan_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is NaN in LiteRT for a real image is no number elsewhere."""
    pytest.importorskip("ai_edge_litert", reason="pip install 'pytest-perfgate[litert]'")
    run = LiteRtSession.run
    monkeypatch.setattr(LiteRtSession, "run", lambda *given: (run(*given)[0] * np.nan,) * 2)
    with pytest.raises(RuntimeFault, match="has NaN in LiteRT on image 0, and a number"):
        checked(tmp_path)


def test_bfloat16_is_judged_by_its_own_tolerance(tmp_path: Path) -> None:
    """16 bits round; what is wrong in 16 bits and right in float32 names that option."""
    pytest.importorskip("ai_edge_litert", reason="pip install 'pytest-perfgate[litert]'")
    openvino = pytest.importorskip("openvino")
    if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this CPU has no bfloat16")
    options = {"precision": "bf16"}
    half = replace(RECIPE, runtime=RuntimeSpec("openvino", options))
    assert checked(tmp_path, recipe=half) < 0.1  # type: ignore[operator] # a number
    with pytest.raises(RuntimeFault, match="root mean square") as caught:
        checked(tmp_path, most=-1.0, recipe=half)
    assert 'set precision = "f32": then outputs differ by' in caught.value.next_step


def test_nothing_is_compared_without_litert_and_a_fact_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without LiteRT, or where LiteRT does not open the file, the reason is the fact."""
    monkeypatch.setattr(LiteRt, "requires", (Requirement("no_such_module", "pip install it"),))
    assert checked(tmp_path, most=-1.0) == (
        "nothing was compared: LiteRT is not installed (pip install it)"
    )
    monkeypatch.setattr(LiteRt, "requires", ())

    def refuses(*_: Any) -> Any:
        raise RuntimeFault("LiteRT does not load the file: an operator of another library")

    monkeypatch.setattr(tflite_check.LiteRt, "open", refuses)
    assert checked(tmp_path, most=-1.0) == (
        "nothing was compared: LiteRT does not load the file: an operator of another library"
    )

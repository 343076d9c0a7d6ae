"""The examples in the docstrings of the base classes run, and what derives from no base class gets
one error.
"""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pytest_perfgate import registry
from pytest_perfgate.artifact import ONNX, TORCH, Artifact
from pytest_perfgate.building import opening
from pytest_perfgate.errors import DataError, NoEffect, RecipeError, RuntimeFault
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.records.recipe import Recipe, RuntimeSpec
from pytest_perfgate.runtimes import InferenceSession, OpenContext, Runtime
from pytest_perfgate.sources import Fence, Source, SourceContext
from pytest_perfgate.steps import Step
from pytest_perfgate.tasks import Task
from pytest_perfgate.tasks.decoders import Decoder
from pytest_perfgate.tasks.mask_decoders import MaskDecoder
from pytest_perfgate.tasks.pixels.geometry import Placed
from pytest_perfgate.workloads import WorkContext, Workload

Install = Callable[[str, str, str], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Installs a module of this text with one entry point in a group, "name = Class"."""

    def add(group: str, entry: str, text: str) -> None:
        name, _, kind = entry.partition(" = ")
        folder = tmp_path / name
        info = folder / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (folder / f"{name}_module.py").write_text(text)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {name}_module:{kind}\n")
        monkeypatch.syspath_prepend(str(folder))
        monkeypatch.delitem(sys.modules, f"{name}_module", raising=False)

    return add


def example(base: type[Any]) -> str:
    """The code in a class's docstring: what is indented below a sentence of "Example:"."""
    part = inspect.cleandoc(base.__doc__ or "").split("Example:\n")[1]
    code = re.search(r"\n\n((?:        .*\n|\n)+)", part)
    assert code is not None, base
    return textwrap.dedent(code.group(1))


def test_the_source_of_the_example_builds_its_models(install: Install) -> None:
    """`linear:10` has ten classes, and another name is an error."""
    torch = pytest.importorskip("torch")
    install(registry.SOURCES, "linear = Linear", example(Source))
    source = registry.find(registry.SOURCES, "linear")
    fence = Fence(Path(), Path())
    source.check("10", source.Options(), fence)
    with pytest.raises(RecipeError, match="no number of classes"):
        source.check("ten", source.Options(), fence)
    built = source.build("10", source.Options(), SourceContext(fence, lambda _: print, Path()))
    assert built.artifact.module(torch.zeros(2, 3, 16, 16)).shape == (2, 10)
    assert [option.module for option in source.requires_with("10", source.Options())] == ["torch"]
    assert not source.has_backbones


def test_the_step_of_the_example_proves_its_effect(install: Install) -> None:
    """It takes dropout layers out, and is red where there are none."""
    nn = pytest.importorskip("torch").nn
    install(registry.STEPS, "dropless = Dropless", example(Step))
    step = registry.find(registry.STEPS, "dropless")
    options = step.Options()
    applied = step.apply(Artifact(TORCH, module=nn.Sequential(nn.Dropout())), options, None)
    step.prove(applied.effect, options)
    again = step.apply(applied.artifact, options, None)
    with pytest.raises(NoEffect, match="no dropout"):
        step.prove(again.effect, options)
    restored = step.restore(nn.Sequential(nn.Dropout()), applied.structure, options)
    assert isinstance(restored[0], nn.Identity)
    assert (step.splits_with(options), step.trains_with(options)) == (frozenset(), False)
    assert (step.sources_with(options), step.machine(options)) == ((), None)


def test_the_runtime_of_the_example_runs_a_model(
    install: Install, tiny_suite: Path, tmp_path: Path
) -> None:
    """Its outputs are those of ONNX Runtime, and what it does not override has its default."""
    install(registry.RUNTIMES, "reference = Reference", example(Runtime))
    artifact = Artifact(ONNX, path=tiny_suite / "squares.onnx")
    inputs = Inputs(np.random.default_rng(0).random((2, 3, 64, 64), dtype=np.float32))
    outputs = []
    for name in ("reference", "onnxruntime"):
        runtime = registry.find(registry.RUNTIMES, name)
        session = runtime.open(artifact, runtime.Options(), OpenContext(1, tmp_path))
        outputs.append(session.run(inputs))
        session.close()
    np.testing.assert_allclose(outputs[0][1], outputs[1][1], rtol=1e-5)
    plain = registry.find(registry.RUNTIMES, "reference").open(artifact, None, None)
    assert plain.profile(inputs, 1) is None
    assert np.isnan(plain.device_seconds())
    assert (plain.peak_device_memory(), plain.flush_cache()) == (None, False)


def test_the_session_of_the_example_has_a_profile(tiny_suite: Path) -> None:
    """One row, for the whole graph."""
    names: dict[str, Any] = {}
    exec(example(InferenceSession), names)  # noqa: S102 - code of this project
    session = names["ReferenceSession"](tiny_suite / "squares.onnx")
    (row,) = session.profile(Inputs(np.zeros((1, 3, 64, 64), np.float32)), 2)
    assert row.seconds > 0


class Doubling(InferenceSession):
    """Gives the batch doubled."""

    def __init__(self) -> None:
        self.facts = {"device": "cpu"}

    def run(self, inputs: Inputs) -> tuple[Any, ...]:
        """(N, 3, H, W)."""
        return (2 * inputs.images,)

    def peak_device_memory(self) -> int:
        """Seven bytes."""
        return 7


def test_the_workload_of_the_example_takes_its_turns(install: Install) -> None:
    """A turn has one value, and the metric of its column is known."""
    install(registry.WORKLOADS, "burst = Burst", example(Workload))
    install(registry.TASKS, "brightness = Brightness", example(Task))
    workload = registry.find(registry.WORKLOADS, "burst")
    context = WorkContext(
        session=Doubling,
        module=lambda: None,
        pipeline=registry.find(registry.TASKS, "brightness").pipeline(None, None),
        images=[np.zeros((4, 4, 3), np.uint8)] * 3,
        data=lambda _: None,
        trainer=lambda: print,
        batch=1,
        threads=1,
        flush=lambda _: None,
    )
    work = workload.open(workload.Options(images=2), context)
    (seconds,) = work.sample(0)
    assert seconds > 0
    assert set(workload.metrics) == {"burst_time_p50"}
    assert workload.adds(workload.Options()) == ()
    assert np.isnan(work.batch())
    assert np.isnan(work.inferences(0.1)[0])
    assert (work.peak_memory(), work.peak_device_memory()) == (0, 7)
    assert (work.columns, work.processes) == (None, ())


def test_the_task_of_the_example_scores_predictions(install: Install) -> None:
    """Right estimates have no error, wrong ones have; data of another type is an error."""
    install(registry.TASKS, "brightness = Brightness", example(Task))
    task = registry.find(registry.TASKS, "brightness")
    images = [np.full((4, 4, 3), value, np.uint8) for value in (0, 51, 255)]
    data = task.load(lambda: task.Data(images), Path(), Path())
    pipeline = task.pipeline(task.Input(), task.Output())
    inputs, meta = pipeline.preprocess(data.images)
    predictions = pipeline.postprocess(inputs.arrays, meta)
    assert task.evaluate(data, predictions).values["error"] == pytest.approx(0, abs=1e-6)
    assert task.evaluate(data, [0.0, 0.2, 0.5]).values["error"] == pytest.approx(0.5 / 3)
    assert set(task.pack(predictions)) == {"estimates"}
    assert (task.compare({}, {}), task.worse(data, {}, {}, 3)) == ({}, None)
    assert task.objects(data, 0) == ("", ())
    with pytest.raises(DataError, match="returned list"):
        task.load(list, Path(), Path())
    with pytest.raises(DataError, match="reads no declared data set"):
        task.load({"images": "folder"}, Path(), Path())


def test_the_decoder_of_the_example_decodes(install: Install) -> None:
    """Rows above the floor."""
    install(registry.DECODERS, "one_table = OneTable", example(Decoder))
    decoder = registry.find(registry.DECODERS, "one_table")
    table = np.array([[[0, 0, 4, 4, 0.9, 2], [1, 1, 3, 3, 0.1, 0]]])
    placed = Placed((1.0, 1.0), (4, 4), (4, 4))
    ((boxes, scores, categories),) = decoder.decode((table,), 0.5, decoder.Options(), [placed])
    assert (boxes.tolist(), categories.tolist()) == ([[0, 0, 4, 4]], [2])
    assert scores == pytest.approx([0.9])
    assert (decoder.suppresses, decoder.units(decoder.Options())) == (True, "network")


def test_the_mask_decoder_of_the_example_decodes(install: Install) -> None:
    """Rows above the floor, with the planes of their masks."""
    install(registry.MASK_DECODERS, "one_class = OneClass", example(MaskDecoder))
    decoder = registry.find(registry.MASK_DECODERS, "one_class")
    table = np.array([[[0, 0, 4, 4, 0.1], [1, 1, 3, 3, 0.9]]])
    masks = np.stack([np.zeros((4, 4)), np.eye(4)])[None]
    placed = Placed((1.0, 1.0), (4, 4), (4, 4))
    (decoded,) = decoder.decode((table, masks), 0.5, decoder.Options(), [placed])
    assert decoded.boxes.tolist() == [[1, 1, 3, 3]]
    assert decoded.rows.tolist() == [1]
    assert decoded.planes.part(1, slice(None), slice(None)).tolist() == np.eye(4).tolist()
    assert (decoder.suppresses, decoder.units(decoder.Options())) == (True, "network")


DUCK = """
class Duck:
    name, accepts = "duck", frozenset({"onnx"})

    def open(self, artifact, options, context):
        return object()
"""


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (DUCK, r"the runtime 'duck' \(duck_module:Duck\) does not derive from .*runtimes\.Runtime"),
        (
            "from pytest_perfgate.steps import Step\nclass Duck(Step):\n"
            "    def apply(self, artifact, options, context): ...\n"
            "    def prove(self, effect, options): ...\n",
            r"does not derive from pytest_perfgate\.runtimes\.Runtime",
        ),
        (
            "from pytest_perfgate.runtimes import Runtime\nclass Duck(Runtime):\n"
            "    name = 'duck'\n    def open(self, artifact, options, context): ...\n",
            "does not set `accepts`",
        ),
        (
            "from pytest_perfgate.runtimes import Runtime\nclass Duck(Runtime):\n    name = 'd'\n",
            "abstract.*open",
        ),
    ],
    ids=["no base", "another base", "an attribute is missing", "a method is missing"],
)
def test_a_class_that_does_not_derive_from_its_base_is_one_error(
    install: Install, text: str, problem: str
) -> None:
    """It names the class, the base class, and the command that shows an example."""
    install(registry.RUNTIMES, "duck = Duck", text)
    with pytest.raises(RecipeError, match=problem):
        registry.find(registry.RUNTIMES, "duck")


def test_a_session_that_derives_from_no_base_is_an_error(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it runs, and by its class's name."""
    text = DUCK.replace("class Duck:", "class Duck(Runtime):")
    install(
        registry.RUNTIMES, "duck = Duck", "from pytest_perfgate.runtimes import Runtime\n" + text
    )
    monkeypatch.setattr(opening, "load", lambda _: Artifact(ONNX))
    recipe = Recipe("x", "", "x", (), 0, RuntimeSpec("duck", {}), ())
    suite, artifact = SimpleNamespace(threads=1, planted=None), SimpleNamespace(compiled=tmp_path)
    with pytest.raises(RuntimeFault, match=r"builtins\.object.*InferenceSession"):
        opening.open_session(suite, recipe, artifact)  # type: ignore[arg-type]

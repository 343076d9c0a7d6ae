"""Steps that make ONNX files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest_perfgate.artifact import ONNX, TORCH, Artifact
from pytest_perfgate.errors import BuildError, NoEffect
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.steps.export import Export
from pytest_perfgate.steps.quantize import Quantize

from tests.steps.conftest import SIDE, example, infer

torch = pytest.importorskip("torch", reason="python -m pip install 'pytest-perfgate[torch]'")
onnx = pytest.importorskip("onnx", reason="python -m pip install 'pytest-perfgate[onnx]'")
onnxruntime = pytest.importorskip("onnxruntime", reason="pip install 'pytest-perfgate[onnx]'")


def test_export_is_one_quiet_file_for_every_batch(
    make_model: Any, make_context: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    """One file, nothing said, and the module's numbers at batch sizes it was not traced with."""
    step, options, context = Export(), Export.Options(), make_context()
    applied = step.apply(Artifact(TORCH, module=make_model()), options, context)
    step.prove(applied.effect, options)
    assert capfd.readouterr().out == ""
    assert [file.name for file in context.folder.iterdir()] == ["model.onnx"]
    assert applied.effect["nodes"] == len(onnx.load(applied.artifact.path).graph.node) > 0
    for count in (1, 5):
        with torch.inference_mode():
            wanted = make_model()(torch.from_numpy(example(count))).numpy()
        np.testing.assert_allclose(
            infer(applied.artifact.path, example(count)), wanted, rtol=1e-4, atol=1e-5
        )


def test_export_does_not_say_where_the_source_lies(tmp_path: Path, make_context: Any) -> None:
    """The same module in two folders of different length gives the same bytes."""
    written = []
    for name in ("a", "a_much_longer_name"):
        folder = tmp_path / name
        folder.mkdir()
        source = folder / "twin.py"
        source.write_text(
            "import torch\n\nclass Twin(torch.nn.Module):\n"
            "    def forward(self, x):\n        return torch.relu(x) * 2.0\n"
        )
        space: dict[str, Any] = {"__name__": "twin"}
        exec(compile(source.read_text(), str(source), "exec"), space)  # noqa: S102 - ours
        applied = Export().apply(
            Artifact(TORCH, module=space["Twin"]().eval()),
            Export.Options(),
            make_context(f"x{name}"),
        )
        assert applied.artifact.path is not None
        written.append(applied.artifact.path.read_bytes())
    assert written[0] == written[1]
    assert str(tmp_path).encode() not in written[0]


def test_export_of_a_frozen_batch_is_an_error(make_model: Any, make_context: Any) -> None:
    """The exporter writes a module's fixed batch into the graph and says nothing; it is found."""

    class Fixed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = make_model()

        def forward(self, x: Any) -> Any:
            return self.body(x).reshape(2, 5, 8, 8)

    with pytest.raises(BuildError, match=r"does not run a batch of 1") as caught:
        Export().apply(Artifact(TORCH, module=Fixed().eval()), Export.Options(), make_context())
    assert "fixed" in caught.value.next_step


def test_export_of_a_batch_of_one_takes_what_depends_on_it(make_context: Any) -> None:
    """A `forward` that looks at the number of images exports with `batch = 1`, which the error of a
    dynamic batch names; a graph with another batch than requested is no success.
    """

    class Looks(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.cat([x[row : row + 1] * 2 for row in range(x.shape[0])])

    artifact = Artifact(TORCH, module=Looks().eval())
    with pytest.raises(BuildError) as caught:
        Export().apply(artifact, Export.Options(), make_context("any"))
    assert "batch = 1" in caught.value.next_step
    options = Export.Options(batch=1)
    effect = Export().apply(artifact, options, make_context("one")).effect
    assert effect["dynamic_batch"] is False
    Export().prove(effect, options)
    with pytest.raises(NoEffect, match="the batch is frozen"):
        Export().prove(effect, Export.Options())


def test_export_of_what_cannot_be_traced_is_told_in_the_exporters_words(make_context: Any) -> None:
    """A decision that depends on pixels stops the build with its reason, in a few lines."""

    class Decides(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return x + 1 if bool((x > 0.5).all()) else x - 1

    with pytest.raises(BuildError, match="does not export") as caught:
        Export().apply(Artifact(TORCH, module=Decides().eval()), Export.Options(), make_context())
    assert len(caught.value.problem) < 800


def test_export_with_other_numbers_is_an_error(
    make_model: Any, make_context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outputs that differ from the module's by more than the tolerance stop the build."""
    run = onnxruntime.InferenceSession.run

    def wrong(self: Any, *arguments: Any) -> Any:
        return [output + 1.0 for output in run(self, *arguments)]

    monkeypatch.setattr(onnxruntime.InferenceSession, "run", wrong)
    with pytest.raises(BuildError, match="outputs differ"):
        Export().apply(Artifact(TORCH, module=make_model()), Export.Options(), make_context())


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"nodes": 0}, "empty"),
        ({"dynamic_batch": False}, "frozen"),
        ({"largest_difference": 1.0}, "differ"),
        ({"largest_difference": float("nan")}, "differ"),
    ],
)
def test_export_proof_fails_on_each_broken_promise(change: dict[str, Any], word: str) -> None:
    """An empty graph, a frozen batch, and other numbers are each found."""
    good = {"nodes": 3, "opset_version": 18, "dynamic_batch": True, "largest_difference": 0.0}
    Export().prove(good, Export.Options())
    with pytest.raises(NoEffect, match=word):
        Export().prove({**good, **change}, Export.Options())


@pytest.mark.parametrize("method", ["minmax", "percentile"])
def test_quantize_makes_a_smaller_close_graph(
    exported: Artifact, make_context: Any, method: str
) -> None:
    """Every convolution becomes 8-bit, the file shrinks, the outputs stay near."""
    step = Quantize()
    options = step.Options(samples=4, calibrate_method=method)
    context = make_context("quantized")
    applied = step.apply(exported, options, context)
    step.prove(applied.effect, options)
    assert applied.effect["quantized_ops"] == applied.effect["quantizable_ops"] == 3
    assert applied.effect["calibration_images"] == 4
    assert applied.effect["bytes"] < applied.effect["bytes_before"]
    assert [file.name for file in context.folder.iterdir()] == ["model.onnx"]
    got, wanted = infer(applied.artifact.path, example(3)), infer(exported.path, example(3))
    assert 0 < np.abs(got - wanted).max() < 0.2 * np.abs(wanted).max()


def test_quantize_is_deterministic(exported: Artifact, make_context: Any) -> None:
    """The same graph and images give the same bytes."""
    options = Quantize.Options(samples=2)
    one, two = (
        Quantize().apply(exported, options, make_context(name)).artifact.path
        for name in ("one", "two")
    )
    assert one.read_bytes() == two.read_bytes()


def test_quantize_of_no_operator_is_no_effect(exported: Artifact, make_context: Any) -> None:
    """Operator types that the graph lacks leave nothing quantized."""
    options = Quantize.Options(samples=1, op_types_to_quantize=("Softmax",))
    applied = Quantize().apply(exported, options, make_context())
    with pytest.raises(NoEffect, match="none was quantized"):
        Quantize().prove(applied.effect, options)


def test_quantize_leaves_excluded_nodes_in_float(exported: Artifact, make_context: Any) -> None:
    """A node of `nodes_to_exclude` stays as it was; an unknown name is an error."""
    first = next(node for node in onnx.load(exported.path).graph.node if node.op_type == "Conv")
    options = Quantize.Options(
        samples=1, nodes_to_exclude=(first.name,), op_types_to_quantize=("Conv",)
    )
    applied = Quantize().apply(exported, options, make_context("a"))
    assert applied.effect["quantized_ops"] == applied.effect["quantizable_ops"] - 1
    with pytest.raises(BuildError, match="no node 'nobody'"):
        Quantize().apply(
            exported, Quantize.Options(nodes_to_exclude=("nobody",)), make_context("b")
        )


def test_quantize_asks_for_calibration_images_only(exported: Artifact, make_context: Any) -> None:
    """Ranges come from the calibration split, as many images as asked."""
    asked: list[tuple[str, int]] = []

    def inputs(split: str, limit: int) -> Any:
        asked.append((split, limit))
        return (Inputs(example(seed + 1)[:1]) for seed in range(limit))

    Quantize().apply(exported, Quantize.Options(samples=2), make_context("a", inputs=inputs))
    assert asked == [("calibration", 2)]


def test_quantize_without_images_is_no_effect() -> None:
    """A graph quantized on no image at all is not believed."""
    effect = {"quantized_ops": 3, "quantizable_ops": 3, "calibration_images": 0}
    with pytest.raises(NoEffect, match="no calibration image"):
        Quantize().prove(effect, Quantize.Options())


PREPARED = """\
import importlib.util
import sys
from pathlib import Path

import numpy as np

from pytest_perfgate.inputs import Inputs
from pytest_perfgate.steps.quantize import Quantize
from pytest_perfgate.steps.quantize_source import prepare


def example(count):
    return Inputs(np.zeros((count, 3, SIDE, SIDE), np.float32))


prepare(Path(sys.argv[1]), Path(sys.argv[2]), Quantize.Options(), example, 1)
print("torch" in sys.modules, importlib.util.find_spec("torch") is not None)
"""


def test_quantize_imports_no_torch(exported: Artifact, tmp_path: Path) -> None:
    """A second of every build that nothing needs; whoever comes later may import it."""
    code = PREPARED.replace("SIDE", str(SIDE))
    command = [sys.executable, "-c", code, str(exported.path), str(tmp_path / "model.onnx")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "False True\n", done.stderr
    assert (tmp_path / "model.onnx").is_file()


def test_quantize_needs_a_file(make_context: Any) -> None:
    """An artifact without a file is refused in words."""
    with pytest.raises(BuildError, match="no ONNX file"):
        Quantize().apply(Artifact(ONNX), Quantize.Options(), make_context())


@pytest.mark.slow
def test_quantize_leaves_nothing_in_the_working_directory(
    exported_detector: Path, make_context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The demo detector is exported and quantized without a file beside the links' own."""
    here = exported_detector.parents[1] / "here"
    monkeypatch.chdir(here)
    images = Inputs(np.random.default_rng(1).random((1, 3, 320, 320), dtype=np.float32))
    Quantize().apply(
        Artifact(ONNX, path=exported_detector),
        Quantize.Options(samples=1),
        make_context("quantized", inputs=lambda *_: iter([images]), example=lambda _: images),
    )
    assert [file.name for file in here.iterdir()] == []

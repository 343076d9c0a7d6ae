"""PT2E quantization: what is 8-bit is counted in the exported graph, and torch runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from pytest_perfgate.artifact import EXPORTED, TORCH, Artifact
from pytest_perfgate.errors import BuildError, NoEffect, RuntimeFault
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.runtimes import OpenContext
from pytest_perfgate.runtimes.torch import Torch
from pytest_perfgate.steps.output_check import module_outputs
from pytest_perfgate.steps.pt2e import Pt2e, count
from pytest_perfgate.steps.training import Course

from tests.steps.conftest import example
from tests.steps.test_training import kept

torch = pytest.importorskip("torch", reason="python -m pip install 'pytest-perfgate[torch]'")
pytest.importorskip("torchao", reason="python -m pip install 'pytest-perfgate[torchao]'")


def opened(artifact: Artifact, folder: Path, **options: Any) -> Any:
    """A session of the torch runtime."""
    return Torch().open(artifact, Torch.Options(**options), OpenContext(threads=1, folder=folder))


def fit(module: Any, _data: Any, *, course: Course, **options: Any) -> Any:
    """A trainer that also keeps an average, as many do."""
    import copy

    average = copy.deepcopy(module).eval()
    module.train()
    optimizer = torch.optim.SGD(module.parameters(), lr=options["learning_rate"])
    for step in course.steps(options["steps"], module=module, average=average, optimizer=optimizer):
        images = torch.from_numpy(example(step % 2 + 1))
        loss = course.loss(images, module(images).square().mean())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for old, new in zip(
                average.state_dict().values(), module.state_dict().values(), strict=True
            ):
                old.lerp_(new, 0.5) if old.is_floating_point() else old.copy_(new)
    module.load_state_dict(average.state_dict())
    return module.eval()


@pytest.fixture
def two_dimensions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torchao looks for each of four kinds of convolution beside its normalization, and exports up
    to 48 patterns of each first: 15 s for three kinds that the small network does not have.
    """
    from torchao.quantization.pt2e import qat_utils

    def limited(rewrite: Any) -> Any:
        def only(graph: Any, convolution: Any, *arguments: Any, **options: Any) -> Any:
            if convolution is not torch.nn.functional.conv2d:
                return graph
            return rewrite(graph, convolution, *arguments, **options)

        return only

    for name in ("_fuse_conv_bn_qat_helper", "_fold_conv_bn_qat_helper"):
        monkeypatch.setattr(qat_utils, name, limited(getattr(qat_utils, name)))


@pytest.mark.slow
def test_static_quantizes_every_layer_and_the_runtime_runs_it(
    make_model: Any, make_context: Any, tmp_path: Path
) -> None:
    """All convolutions are 8-bit, the file runs at other batches, and the numbers are near."""
    step, options = Pt2e(), Pt2e.Options(samples=8)
    applied = step.apply(Artifact(TORCH, module=make_model()), options, make_context())
    step.prove(applied.effect, options)
    assert applied.effect["quantized_ops"] == applied.effect["quantizable_ops"] == 3
    assert applied.effect["quantized_share"] == 1.0
    assert applied.effect["calibration_images"] == 8
    assert 0 < applied.effect["difference"] < 0.1
    assert applied.effect["bytes"] == (tmp_path / "link" / "model.pt2").stat().st_size
    session = opened(applied.artifact, tmp_path)
    for size in (1, 3):
        (result,) = session.run(Inputs(example(size)))
        (wanted,) = module_outputs(make_model(), Inputs(example(size)))
        assert result.shape == wanted.shape
        assert np.abs(result - wanted).max() <= 0.1 * np.abs(wanted).max()
        assert not np.array_equal(result, wanted)


@pytest.mark.slow
def test_compiled_it_runs_8_bit_operators(
    make_model: Any, make_context: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inductor's code gives the numbers of the eager program, at more than one batch."""
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    torch._dynamo.reset()
    applied = Pt2e().apply(
        Artifact(TORCH, module=make_model()), Pt2e.Options(samples=4), make_context()
    )
    eager, compiled = (
        opened(applied.artifact, tmp_path, compile=compiled) for compiled in (False, True)
    )
    for size in (1, 3, 1):
        np.testing.assert_allclose(
            compiled.run(Inputs(example(size)))[0], eager.run(Inputs(example(size)))[0], atol=0.02
        )
    assert compiled.facts["graphs"] >= 1
    sources = [file.read_text() for file in (tmp_path / "inductor").rglob("*.py")]
    assert any("qconv" in text for text in sources)
    torch._dynamo.reset()


@pytest.mark.slow
@pytest.mark.usefixtures("two_dimensions")
def test_qat_trains_with_the_suites_trainer_and_is_continued(
    make_model: Any, make_context: Any, tmp_path: Path
) -> None:
    """The trainer gets a module that trains, copies and averages like any other; cut off at its
    third step, it goes on there.
    """

    class Stop(Exception):
        pass

    def cut(module: Any, data: Any, *, course: Course, **options: Any) -> Any:
        def tell(images: Any, loss: Any, message: Any = course.loss) -> Any:
            if course.done == 2:
                raise Stop
            return message(images, loss)

        course.loss = tell  # type: ignore[method-assign] # a trainer that dies
        return fit(module, data, course=course, **options)

    step = Pt2e()
    options = Pt2e.Options(method="qat", steps=4, learning_rate=0.01, batch_size=2)
    training = kept(tmp_path / "training")
    with pytest.raises(Stop):
        step.apply(
            Artifact(TORCH, module=make_model()),
            options,
            make_context("cut", trainer=cut, checkpoints=training),
        )
    applied = step.apply(
        Artifact(TORCH, module=make_model()),
        options,
        make_context(trainer=fit, checkpoints=training),
    )
    step.prove(applied.effect, options)
    assert applied.effect["quantized_ops"] == 3
    assert (applied.effect["steps"], applied.effect["resumed_at"]) == (4, 2)
    assert applied.artifact.kind == EXPORTED


@pytest.mark.slow
@pytest.mark.parametrize("method", ["static", "qat"])
def test_a_head_that_levels_share_is_an_error_that_says_so(method: str, make_context: Any) -> None:
    """Torchao cannot quantize a layer that runs more than once."""

    class Shared(torch.nn.Module):  # type: ignore[misc, name-defined] # torch may be skipped
        def __init__(self) -> None:
            super().__init__()
            self.first = torch.nn.Conv2d(3, 8, 3, 2, 1)
            self.down = torch.nn.Conv2d(8, 8, 3, 2, 1)
            self.head = torch.nn.Conv2d(8, 4, 1)

        def forward(self, x: Any) -> Any:
            fine = torch.relu(self.first(x))
            coarse = torch.relu(self.down(fine))
            return self.head(fine), self.head(coarse)

    options = Pt2e.Options(method=method)
    with pytest.raises(BuildError, match=r"run more than once.*: head \(") as caught:
        Pt2e().apply(Artifact(TORCH, module=Shared().eval()), options, make_context(trainer=fit))
    assert 'quantize = "static"' in caught.value.next_step


def test_training_refuses_an_eps_that_torchao_would_drop(make_context: Any) -> None:
    """The layer is named; calibration folds batch normalisation by its own eps, and takes it."""
    layers = torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4, eps=1e-3)
    module = torch.nn.Sequential(*layers).eval()
    with pytest.raises(BuildError, match=r"eps = 1e-05 only, and 1 has 0\.001") as caught:
        Pt2e().apply(
            Artifact(TORCH, module=module), Pt2e.Options(method="qat"), make_context(trainer=fit)
        )
    assert "qat" in caught.value.next_step


@pytest.mark.slow
def test_a_model_without_layers_to_quantize_is_no_effect(make_context: Any) -> None:
    """A graph that has no convolution has nothing that became 8-bit."""
    plain = torch.nn.Sequential(torch.nn.AvgPool2d(2), torch.nn.Sigmoid()).eval()
    applied = Pt2e().apply(Artifact(TORCH, module=plain), Pt2e.Options(), make_context())
    assert applied.effect["quantized_ops"] == 0
    with pytest.raises(NoEffect, match="none of 0"):
        Pt2e().prove(applied.effect, Pt2e.Options())


def test_calibration_on_nothing_is_no_effect() -> None:
    """Ranges must come from images."""
    effect = {"quantized_ops": 3, "quantizable_ops": 3, "calibration_images": 0}
    with pytest.raises(NoEffect, match="no calibration image"):
        Pt2e().prove(effect, Pt2e.Options())
    with pytest.raises(NoEffect, match="not trained"):
        Pt2e().prove({**effect, "steps": 3}, Pt2e.Options(method="qat", steps=4))


def test_float_operators_are_not_counted_as_quantized(make_model: Any) -> None:
    """An exported float model has three layers, none of them 8-bit."""
    program = torch.export.export(make_model(), (torch.from_numpy(example(2)),))
    assert count(program.graph_module.graph) == (0, 3)


@pytest.mark.parametrize("content", [b"no program", None])
def test_a_program_that_does_not_load_is_named(content: bytes | None, tmp_path: Path) -> None:
    """Broken and missing files give a fault with their path."""
    file = tmp_path / "model.pt2"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(RuntimeFault) as caught:
        opened(Artifact(EXPORTED, path=file), tmp_path)
    assert caught.value.where == str(file)


@pytest.mark.parametrize(
    "values",
    [
        {"method": "dynamic"},
        {"samples": 0},
        {"steps": 5},
        {"data": "calibration"},
        {"method": "qat", "samples": 5},
        {"method": "qat", "data": "validation"},
        {"per_channel": True},
    ],
)
def test_options_are_checked_before_any_work(values: dict[str, Any]) -> None:
    """Unknown options, and those of the other method, are errors."""
    with pytest.raises(ValidationError):
        Pt2e.Options(**values)


def test_each_method_needs_its_own_data() -> None:
    """Calibration images for static; training images and the trainer for qat."""
    static, qat = Pt2e.Options(), Pt2e.Options(method="qat", data="toy.data:more")
    assert (Pt2e().splits_with(static), Pt2e().trains_with(static)) == ({"calibration"}, False)
    assert (Pt2e().splits_with(qat), Pt2e().trains_with(qat)) == ({"toy.data:more"}, True)

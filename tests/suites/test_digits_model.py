"""The digit detector: shapes, size, export, and fine-tuning that repeats itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from suites.digits import model  # noqa: E402 - after what may skip

ANCHORS_AT_320 = 40 * 40 + 20 * 20 + 10 * 10


@pytest.fixture(scope="module")
def detector() -> Any:
    """The trained detector."""
    return model.build()


@pytest.mark.parametrize(
    ("batch", "height", "width"), [(1, 320, 320), (2, 320, 320), (3, 64, 96), (1, 256, 160)]
)
def test_shapes_follow_the_input(detector: Any, batch: int, height: int, width: int) -> None:
    """Any batch, any height and width that are multiples of 32."""
    with torch.inference_mode():
        boxes, scores = detector(torch.rand(batch, 3, height, width))
    anchors = sum((height // stride) * (width // stride) for stride in model.STRIDES)
    assert boxes.shape == (batch, anchors, 4)
    assert scores.shape == (batch, anchors, model.CLASSES)
    assert boxes.dtype == scores.dtype == torch.float32
    assert bool((scores >= 0).all() and (scores <= 1).all())
    assert bool((boxes[..., 2:] > boxes[..., :2]).all())


def test_it_is_built_trained_and_in_eval_mode(detector: Any) -> None:
    """`build` gives weights that are not the initial ones."""
    assert not any(module.training for module in detector.modules())
    fresh = model.Detector().state_dict()
    trained = detector.state_dict()
    assert fresh.keys() == trained.keys()
    weight = "stem.0.0.weight"
    assert not torch.equal(fresh[weight], trained[weight])


def test_it_is_small(detector: Any) -> None:
    """Fewer than 2 million parameters, fewer than 8 MB."""
    assert sum(parameter.numel() for parameter in detector.parameters()) < 2_000_000
    assert model.WEIGHTS.stat().st_size < 8_000_000


def test_one_image_scores_the_same_in_any_batch(detector: Any) -> None:
    """Images of a batch do not see each other."""
    images = torch.rand(3, 3, 96, 96)
    with torch.inference_mode():
        together = detector(images)[1]
        alone = torch.cat([detector(image[None])[1] for image in images])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-3)


@pytest.mark.slow
def test_it_exports_and_agrees_with_torch(detector: Any, exported_detector: Path) -> None:
    """As ONNX with a dynamic batch, to within rounding."""
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(str(exported_detector), providers=["CPUExecutionProvider"])
    (image,) = (each.name for each in session.get_inputs())
    for batch in (1, 3):
        images = torch.rand(batch, 3, 320, 320)
        boxes, scores = session.run(None, {image: images.numpy()})
        with torch.inference_mode():
            expected_boxes, expected_scores = detector(images)
        assert boxes.shape == (batch, ANCHORS_AT_320, 4)
        np.testing.assert_allclose(boxes, expected_boxes.numpy(), atol=0.05)
        np.testing.assert_allclose(scores, expected_scores.numpy(), atol=2e-3)


@pytest.mark.slow
def test_fine_tuning_repeats_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same seed gives the same weights, another one does not."""
    pytest.importorskip("sklearn")
    pytest.importorskip("skimage")
    from pytest_perfgate.steps.training import Course

    from suites.digits import data
    from suites.digits.train import fit

    monkeypatch.setenv("PERFGATE_CACHE", str(tmp_path))
    images = data.calibration()
    observed: list[tuple[int, int]] = []

    def tuned(seed: int) -> dict[str, Any]:
        module = fit(
            model.build(),
            images,
            steps=2,
            learning_rate=1e-3,
            batch_size=2,
            seed=seed,
            course=Course(lambda done, total, _note: observed.append((done, total))),
        )
        assert not module.training
        return module.state_dict()

    first, again, other = tuned(1), tuned(1), tuned(2)
    assert observed[:2] == [(1, 2), (2, 2)]
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_the_student_is_smaller_and_gives_the_same_outputs(detector: Any) -> None:
    """A third of the parameters, and boxes and scores of the same anchors."""
    student = model.small()
    sizes = [
        sum(parameter.numel() for parameter in module.parameters())
        for module in (student, detector)
    ]
    assert sizes[0] < sizes[1] / 3
    with torch.inference_mode():
        result, wanted = (network(torch.rand(1, 3, 64, 64)) for network in (student, detector))
    assert [tensor.shape for tensor in result] == [tensor.shape for tensor in wanted]


@pytest.mark.slow
def test_half_of_its_channels_can_be_removed() -> None:
    """Less than half of the work remains, and the outputs keep their shape."""
    pruning = pytest.importorskip("torch_pruning")
    module = model.build()
    example = torch.rand(1, 3, 320, 320)
    before, _ = pruning.utils.count_ops_and_params(module, example)
    outputs = [layer for head in module.heads for layer in (head.classes_out, head.boxes_out)]
    pruning.pruner.MagnitudePruner(
        module,
        example,
        importance=pruning.importance.GroupMagnitudeImportance(p=2),
        pruning_ratio=0.5,
        round_to=8,
        ignored_layers=outputs,
    ).step()
    after, _ = pruning.utils.count_ops_and_params(module, example)
    assert after < 0.5 * before
    with torch.inference_mode():
        boxes, scores = module(torch.rand(2, 3, 128, 128))
    assert boxes.shape[2] == 4
    assert scores.shape[2] == model.CLASSES

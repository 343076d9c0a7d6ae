"""The suite that moves a pretrained network: weights of a package, and splits of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="python -m pip install 'pytest-perfgate[torch]'")
pytest.importorskip("rapidocr", reason="python -m pip install rapidocr")

from suites.transfer import data, model  # noqa: E402 - after what may skip


def test_the_module_is_the_packages_network() -> None:
    """It gives what ONNX Runtime gives of the file, and has statistics of a real training."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(model.file()), providers=["CPUExecutionProvider"])
    images = np.random.default_rng(0).uniform(-1, 1, (2, 3, model.HEIGHT, model.WIDTH))
    batch = images.astype(np.float32)
    (expected,) = session.run(None, {session.get_inputs()[0].name: batch})
    with torch.inference_mode():
        actual = model.build()(torch.from_numpy(batch)).softmax(1)
    assert np.abs(actual.numpy() - expected).max() < 1e-5
    assert float(model.build().stem.norm.running_var.std()) > 0


def test_lines_are_the_same_every_time_and_upright_in_every_second_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Turning an upside-down line back gives ink where an upright one has it."""
    asked: list[tuple[float, float]] = []
    lines = data._lines

    def few(_count: int, seed: int, begin: float, end: float) -> Any:
        asked.append((begin, end))
        return lines(4, seed, begin, end)

    monkeypatch.setattr(data, "_lines", few)
    first, again = data.train(), data.train()
    assert all(np.array_equal(a, b) for a, b in zip(first.images, again.images, strict=True))
    assert list(first.labels) == [0, 1, 0, 1]
    assert np.asarray(first.images[0]).shape == (model.HEIGHT, model.WIDTH, 3)
    data.tuning()
    data.validation()
    train, _, tuning, validation = asked
    assert train[1] <= tuning[0] < tuning[1] <= validation[0]

"""The training of the suites' networks: what moves, what stays, and the file of weights."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from suites import training  # noqa: E402 - after what may skip


def _trained(average: float | None) -> tuple[torch.nn.Module, torch.Tensor]:
    """A layer after one step, its bias frozen, and the weight that it began with."""
    torch.manual_seed(3)
    layer = torch.nn.Linear(4, 2)
    layer.bias.requires_grad_(requires_grad=False)
    before = layer.weight.detach().clone()
    bias, images = layer.bias.clone(), torch.ones(5, 4)
    training.train(layer, lambda _: layer(images).square().mean(), 1, 0.1, average=average)
    assert torch.equal(layer.bias, bias)
    assert not layer.training
    return layer, before


def test_weights_end_as_their_running_average() -> None:
    """After one step at nine tenths of the way; without an average where the step led."""
    last, before = _trained(None)
    assert not torch.allclose(last.weight, before)
    averaged, _ = _trained(0.995)
    assert torch.allclose(averaged.weight, before.lerp(last.weight, 0.9))


def test_training_resumes_from_what_was_saved(tmp_path: Path) -> None:
    """The file is whole, nothing else is left; without it weights are those of the seed."""
    layer, _ = _trained(None)
    file = tmp_path / "weights.safetensors"
    training.save(layer, file)
    assert list(tmp_path.iterdir()) == [file]
    parser = training.parser("one", None, file, steps=3, batch_size=2, rate=0.1)
    threads = torch.get_num_threads()
    resumed, fresh, again = (
        training.start(lambda: torch.nn.Linear(4, 2), parser.parse_args(given))
        for given in (["--resume", str(file)], [], [])
    )
    torch.set_num_threads(threads)
    assert torch.equal(resumed.weight, layer.weight)
    assert torch.equal(fresh.weight, again.weight)
    assert not torch.equal(fresh.weight, layer.weight)

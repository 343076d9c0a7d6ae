"""What a GPU cannot compute is skipped with its reason: on recorded compute capabilities."""

from __future__ import annotations

import pytest
from pytest_perfgate import registry
from pytest_perfgate.registry import Requirement
from pytest_perfgate.runtimes.gpu_cards import BF16, TENSORRT_RTX, TF32, Card, compute_capability
from pytest_perfgate.runtimes.torch import Torch
from pytest_perfgate.steps.tensorrt import TensorRt

from tests.machine.recorded import Recorded

CARDS = {"T4": [7, 5], "A100": [8, 0], "A10": [8, 6], "L4": [8, 9], "H200": [9, 0], "5090": [12, 0]}


def _use(monkeypatch: pytest.MonkeyPatch, capability: list[int] | None) -> None:
    library = Recorded(DeviceGetCudaComputeCapability=capability)
    monkeypatch.setattr("pytest_perfgate.machine.nvml.connect", lambda: (library, ""))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.parametrize(
    ("card", "able"),
    [
        (BF16, {"A100", "A10", "L4", "H200", "5090"}),
        (TF32, {"A100", "A10", "L4", "H200", "5090"}),
        (TENSORRT_RTX, {"T4", "A100", "A10", "L4", "5090"}),
    ],
)
def test_each_card_can_what_nvidia_says_it_can(
    monkeypatch: pytest.MonkeyPatch, card: Card, able: set[str]
) -> None:
    """bfloat16 and TF32 came with Ampere; TensorRT-RTX has no kernels for Hopper."""
    observed = set()
    for name, capability in CARDS.items():
        _use(monkeypatch, capability)
        if not card.missing:
            observed.add(name)
    assert observed == able


def test_the_reason_has_the_feature_the_need_and_the_card(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line, and a command that shows what the GPU is."""
    _use(monkeypatch, CARDS["T4"])
    assert registry.lacks([BF16]) == (
        "bfloat16 needs a GPU of compute capability 8.0 (Ampere) or later; this GPU has 7.5"
    )
    _use(monkeypatch, CARDS["H200"])
    assert registry.lacks([TENSORRT_RTX]) == (
        "TensorRT-RTX needs a GPU of compute capability 7.5, 8.0, 8.6, 8.9 or 12.x; "
        "this GPU has 9.0"
    )
    assert BF16.install.startswith("nvidia-smi ")


def _cards(requirements: tuple[Requirement, ...]) -> set[Requirement]:
    return {requirement for requirement in requirements if isinstance(requirement, Card)}


def test_recipes_ask_for_the_card_that_their_options_need() -> None:
    """bfloat16 and TF32 on a GPU, an engine of TensorRT-RTX; and no card for what any GPU can."""
    for options, cards in [
        ({"device": "cuda"}, set()),
        ({"autocast": "bfloat16"}, set()),  # on the CPU
        ({"device": "cuda", "autocast": "float16"}, set()),
        ({"device": "cuda", "autocast": "bfloat16"}, {BF16}),
        ({"device": "cuda", "tf32": True}, {TF32}),
    ]:
        assert _cards(Torch().requires_with(Torch.Options.model_validate(options))) == cards
    rtx = TensorRt.Options(package="tensorrt_rtx")
    assert _cards(TensorRt().requires_with(rtx)) == {TENSORRT_RTX}
    assert _cards(TensorRt().requires_with(TensorRt.Options(bf16=True))) == {BF16}


def test_a_card_that_is_not_known_lacks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a GPU another requirement says so; with an old NVML the runtime itself will."""
    _use(monkeypatch, None)
    assert compute_capability() is None
    assert not TENSORRT_RTX.missing
    monkeypatch.setattr("pytest_perfgate.machine.nvml.connect", lambda: (None, "no driver"))
    assert compute_capability() is None
    assert not BF16.missing

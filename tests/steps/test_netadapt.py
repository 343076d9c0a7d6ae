"""netadapt: channels go where they cost latency and change little, until a latency is reached."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from pytest_perfgate.artifact import TORCH, Artifact
from pytest_perfgate.errors import BuildError, NoEffect
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.steps.netadapt import NetAdapt
from pytest_perfgate.steps.netadapt_search import Candidate, Stopwatch
from pytest_perfgate.steps.training import Course
from pytest_perfgate.steps.training_checkpoints import Checkpoints

from tests.steps.conftest import SIDE, example

torch = pytest.importorskip("torch", reason="python -m pip install 'pytest-perfgate[torch]'")
pytest.importorskip("torch_pruning", reason="python -m pip install 'pytest-perfgate[torch]'")
nn = torch.nn


class Stop(Exception):
    """What cuts a training off."""


def wide() -> Any:
    """A cheap first layer, an expensive second and third, of which the third's channels are near
    zero.
    """
    torch.manual_seed(2)
    net = nn.Sequential(
        nn.Conv2d(3, 16, 3, 4, 1),
        nn.ReLU(),
        nn.Conv2d(16, 96, 3, 1, 1),
        nn.ReLU(),
        nn.Conv2d(96, 96, 3, 1, 1),
        nn.ReLU(),
        nn.Conv2d(96, 4, 1),
    )
    with torch.no_grad():
        net[4].weight[16:].mul_(1e-3)
        net[4].bias[16:].zero_()
    return net.eval()


def fit(module: Any, _data: Any, *, course: Course, **options: Any) -> Any:
    """A trainer that trains a little."""
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-4)
    module.train()
    for step in course.steps(options["steps"], module=module, optimizer=optimizer):
        images = torch.from_numpy(example(step + 2))
        output = module(images)
        output = output[0] if isinstance(output, tuple) else output
        course.minimize(course.loss(images, output.square().mean()), optimizer)
    return module.eval()


def asked_for(share: float = 0.6, **options: Any) -> Any:
    """Options of the step, timed in torch unless told: an export takes seconds."""
    given = {"runtime": "torch", "iterations": 2, "images": 2, "turns": 9, **options}
    return NetAdapt.Options(latency_share=share, steps=2, batch_size=2, **given)


class Counted:
    """A stopwatch whose latency is the number of weights that are read for one image."""

    seconds = 1.0

    def __init__(self, module: Any, *_: Any) -> None:
        self._whole = self._work(module)

    def share(self, module: Any) -> float:
        """As of a real one."""
        return self._work(module) / self._whole

    @staticmethod
    def _work(module: Any) -> float:
        return float(sum(value.numel() for value in module.parameters()))


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Latencies that no neighbour on the machine changes."""
    monkeypatch.setattr("pytest_perfgate.steps.netadapt.Stopwatch", Counted)


def adapted(module: Any, context: Any, options: Any) -> Any:
    """What the step gives."""
    return NetAdapt().apply(Artifact(TORCH, module=module), options, context)


@pytest.mark.usefixtures("counted")
def test_channels_go_where_they_cost_much_and_change_little(make_context: Any) -> None:
    """The layer of near-zero channels goes first; each iteration reaches its part of the way, and
    is trained; the module comes back with its weights.
    """
    options = asked_for()
    applied = adapted(wide(), make_context(trainer=fit), options)
    NetAdapt().prove(applied.effect, options)
    effect = applied.effect
    first, last = effect["iterations"]
    assert first["latency_share"] <= first["target"] == pytest.approx(0.6**0.5, abs=1e-4)
    assert last["latency_share"] <= last["target"] == 0.6
    assert effect["latency_share"] <= 0.6
    damages = {one["layer"]: one["damage"] / one["saved"] for one in first["sensitivity"]}
    assert min(damages, key=damages.__getitem__) == "4"
    before, after = effect["channels"]["4"]
    assert after < before == 96
    assert after % 8 == 0
    assert effect["channels"]["0"][1] * 2 > effect["channels"]["0"][0]
    assert [one["steps"] for one in effect["iterations"]] == [2, 2]
    again = NetAdapt().restore(wide(), applied.structure, options)
    again.load_state_dict(applied.artifact.module.state_dict())
    batch = torch.from_numpy(example(2))
    assert torch.equal(again.eval()(batch), applied.artifact.module(batch))


@pytest.mark.usefixtures("counted")
def test_a_latency_that_cannot_be_reached_is_an_error_before_training(make_context: Any) -> None:
    """Each layer keeps its share, so a hundredth is out of reach; the error says where it ended."""

    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("it was trained")

    options = asked_for(0.01, iterations=1, keep_share=0.5)
    with pytest.raises(BuildError, match=r"cannot fall to 1% of the model's: it is \d+%"):
        adapted(wide(), make_context(trainer=never), options)


@pytest.mark.usefixtures("counted")
def test_a_training_that_is_cut_off_goes_on_with_its_layers(
    make_context: Any, tmp_path: Path
) -> None:
    """In the second iteration: what was removed before is not chosen again, and the end is that of
    a training that nobody disturbed.
    """

    def kept() -> Checkpoints:
        return Checkpoints(tmp_path / "kept", dict, lambda _: True, every=0.0)

    calls: list[int] = []

    def cut(module: Any, data: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise Stop
        return fit(module, data, **options)

    options = asked_for()
    whole = adapted(wide(), make_context("whole", trainer=fit), options)
    with pytest.raises(Stop):
        adapted(wide(), make_context("cut", trainer=cut, checkpoints=kept()), options)
    plan = (tmp_path / "kept" / "plan-1.json").read_text()
    again = adapted(wide(), make_context("again", trainer=fit, checkpoints=kept()), options)
    assert (tmp_path / "kept" / "plan-1.json").read_text() == plan
    assert again.structure == whole.structure
    assert again.effect["iterations"][0]["resumed_at"] == 1
    for name, value in whole.artifact.module.state_dict().items():
        assert torch.equal(value, again.artifact.module.state_dict()[name])


def test_what_was_not_reached_or_trained_is_no_effect() -> None:
    """Whatever the search believed: the last measurement counts."""
    options = asked_for()
    good = {
        "latency_share": 0.62,
        "parameters_before": 9,
        "parameters": 5,
        "finite": True,
        "iterations": [{"steps": 2}, {"steps": 2}],
    }
    NetAdapt().prove(good, options)
    for wrong, said in (
        ({"latency_share": 0.64}, "64% of the one before, and 60% was requested"),
        ({"parameters": 9}, "no channel is gone"),
        ({"finite": False}, "NaN"),
        ({"iterations": [{"steps": 2}, {"steps": 1}]}, "iteration 1 was not trained"),
    ):
        with pytest.raises(NoEffect, match=said):
            NetAdapt().prove({**good, **wrong}, options)


def test_removals_without_gain_are_not_candidates() -> None:
    """Less than noise; the price is damage for latency."""
    assert not Candidate("a", (16, 8), 0.001, 0.0).gains
    assert Candidate("a", (16, 8), 0.1, 0.05).price == pytest.approx(0.5)
    with pytest.raises(ValidationError, match="one process"):
        asked_for(processes=2)


@pytest.mark.parametrize("runtime", ["torch", "onnxruntime"])
def test_latencies_are_measured_in_the_runtime(runtime: str, tmp_path: Path) -> None:
    """A network that does a fifth of the work takes much less of the time of the whole; the file
    that was timed is gone.
    """
    if runtime == "onnxruntime":
        pytest.importorskip("onnxruntime")
        pytest.importorskip("onnxscript")

    def net(width: int) -> Any:
        torch.manual_seed(width)
        layers = [nn.Conv2d(3, width, 3, 1, 1), nn.Conv2d(width, width, 3, 1, 1)]
        return nn.Sequential(*layers, nn.Conv2d(width, 4, 1)).eval()

    torch.set_num_threads(1)
    whole = net(128)
    watch = Stopwatch(whole, Inputs(example(1)), runtime, 1, 15, tmp_path)
    assert watch.seconds > 0
    assert watch.share(net(32)) < 0.6
    assert 0.6 < watch.share(copy.deepcopy(whole)) < 1.7
    assert not list(tmp_path.iterdir())


NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "ResNet": (
        "resnet",
        {
            "layer_type": "basic",
            "embedding_size": 32,
            "hidden_sizes": [32, 64],
            "depths": [2, 2],
            "num_labels": 5,
        },
    ),
    "MobileNet": ("mobilenet_v2", {"depth_multiplier": 0.5, "num_labels": 5}),
    "ConvNeXt": ("convnext", {"hidden_sizes": [32, 64], "depths": [1, 1], "num_stages": 2}),
    "transformer": (
        "vit",
        {
            "image_size": SIDE,
            "patch_size": 8,
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 128,
        },
    ),
}


def network(name: str, arguments: dict[str, Any]) -> Callable[[], Any]:
    """A classifier of transformers that gives logits."""
    import transformers

    class Logits(nn.Module):  # type: ignore[misc] # torch is imported where it is installed
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(4)
            config = transformers.AutoConfig.for_model(name, **arguments)
            kind = transformers.AutoModelForImageClassification
            self.model = kind.from_config(config, attn_implementation="eager")

        def forward(self, images: Any) -> Any:
            return self.model(pixel_values=images, return_dict=True)["logits"]

    return lambda: Logits().eval()


@pytest.mark.slow
@pytest.mark.usefixtures("counted")
@pytest.mark.parametrize("family", NETWORKS)
def test_networks_that_people_have_become_smaller(family: str, make_context: Any) -> None:
    """By the layers that can lose channels; what cannot is skipped with its reason."""
    pytest.importorskip("transformers", reason="pip install 'pytest-perfgate[transformers]'")
    make = network(*NETWORKS[family])
    options = asked_for(0.8, iterations=1, images=1)
    applied = adapted(make(), make_context(trainer=fit), options)
    NetAdapt().prove(applied.effect, options)
    assert applied.effect["latency_share"] <= 0.8
    assert applied.effect["macs"] < applied.effect["macs_before"]
    again = NetAdapt().restore(make(), applied.structure, options)
    again.load_state_dict(applied.artifact.module.state_dict())
    batch = torch.from_numpy(example(2))
    assert torch.equal(again.eval()(batch), applied.artifact.module.eval()(batch))

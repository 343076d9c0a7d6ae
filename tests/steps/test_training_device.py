"""A training runs on the device that it names, or not at all."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_perfgate import registry
from pytest_perfgate.errors import BuildError, RuntimeFault
from pytest_perfgate.runtimes.cuda import GPU
from pytest_perfgate.steps import training_device
from pytest_perfgate.steps.training import Course, course_facts, train
from pytest_perfgate.steps.training_options import TrainingOptions
from pytest_perfgate.workloads.training import Training

torch = pytest.importorskip("torch")

OPTIONS = TrainingOptions(steps=1, batch_size=2)


class Moved(torch.nn.Linear):  # type: ignore[misc] # torch is imported where it is installed
    """A module that notes where it is sent, and goes to no device that is not there."""

    def __init__(self) -> None:
        super().__init__(3, 2)
        self.places: list[str] = []

    def to(self, device: str) -> Moved:  # type: ignore[override] # of what training asks
        """Notes the device."""
        self.places.append(device)
        return self


def _fit(module: Any, _data: Any, *, course: Course, steps: int, **_: Any) -> Any:
    for _step in course.steps(steps):
        pass
    return module


@pytest.mark.parametrize(
    ("group", "name", "options"),
    [
        (registry.STEPS, "finetune", {"steps": 1}),
        (registry.STEPS, "distil", {"steps": 1, "student": "a.b:c"}),
        (registry.STEPS, "backbone", {"steps": 1, "backbone": "resnet18"}),
        (registry.STEPS, "pt2e", {"method": "qat"}),
        (registry.WORKLOADS, "training", {"steps": 1}),
    ],
)
def test_a_training_on_cuda_needs_a_gpu(group: str, name: str, options: dict[str, Any]) -> None:
    """So that a recipe is skipped without one; before, it trained on the CPU without a word."""
    piece = registry.find(group, name)
    for device, needed in (("cpu", False), ("cuda", True)):
        checked = piece.Options.model_validate({**options, "device": device})
        assert (GPU in piece.requires_with(checked)) is needed


def test_the_module_is_placed_before_the_trainer_and_taken_back_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Wherever the trainer left it, what follows reads it on the CPU."""
    monkeypatch.setattr(training_device, "prove", lambda *_: {})  # there is no device to prove
    module = Moved()
    course = Course(device="cuda")
    assert train(_fit, module, None, OPTIONS, 0, course) is module
    assert module.places == ["cuda", "cpu"]


def test_parameters_elsewhere_end_the_training_at_its_first_step() -> None:
    """A module, and an optimizer that was built before the module was placed."""
    module = torch.nn.Linear(3, 2)
    with pytest.raises(BuildError, match=r"names the device cuda, and module has .* on cpu"):
        next(Course(device="cuda").steps(1, module=module))
    away = torch.nn.Linear(3, 2, device="meta")
    optimizer = torch.optim.SGD(away.parameters(), lr=0.1)
    with pytest.raises(BuildError, match=r"names the device cpu, and optimizer has .* on meta"):
        next(Course().steps(1, module=module, optimizer=optimizer))


def test_a_trainer_that_hides_its_module_is_not_believed() -> None:
    """Nothing is proven of a module that `course.steps` is not given."""
    with pytest.raises(BuildError, match="none of its parameters is there"):
        next(Course(device="cuda").steps(1))


def test_what_is_on_the_device_is_counted_and_must_be_allocated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fewer bytes in the allocator than the parameters have: they are not there."""
    facts = training_device.prove({"module": torch.nn.Linear(3, 2)}, "cpu")
    assert facts == {"device": "cpu", "device_parameters": 8}
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda: 31)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "made-up GPU")
    with pytest.raises(BuildError, match=r"parameters of 32 bytes .* allocator holds 31"):
        training_device._allocated(32)
    assert training_device._allocated(31) == {"gpu": "made-up GPU", "device_bytes_at_start": 31}


def test_batches_are_placed_whatever_holds_them() -> None:
    """Tensors in tuples, lists and dicts; what is no tensor stays."""
    batch = course_batch = torch.ones(2, 3)
    images, targets = Course(device="meta").place(batch, [{"boxes": course_batch, "id": 7}])
    assert images.device.type == targets[0]["boxes"].device.type == "meta"
    assert targets[0]["id"] == 7
    assert Course().place(batch) is batch


def test_a_trainer_that_mixes_devices_is_told_how_to_place_its_batches() -> None:
    """Torch's own error, and the call that mends it."""

    def fit(_module: Any, _data: Any, **_: Any) -> Any:
        raise RuntimeError("Expected all tensors to be on the same device, but found two")

    with pytest.raises(BuildError, match="mixes devices") as caught:
        train(fit, torch.nn.Linear(3, 2), None, OPTIONS, 0, Course())
    assert "course.place" in caught.value.next_step


def test_artifacts_of_trainings_on_the_cpu_keep_their_key() -> None:
    """The default device is in no options that a key is made of; another one is."""
    assert "device" not in OPTIONS.model_dump(mode="json")
    assert TrainingOptions(steps=1, device="cuda").model_dump()["device"] == "cuda"
    assert TrainingOptions.model_validate(OPTIONS.model_dump()).device == "cpu"


def test_a_training_beside_a_runtime_on_a_gpu_must_name_it() -> None:
    """Else its steps would be timed on the CPU under a recipe that says cuda."""
    context: Any = type("Context", (), {"gpu": True})
    with pytest.raises(RuntimeFault, match="runtime is on a GPU, and its training names the cpu"):
        Training().open(Training.Options(steps=1), context)


@pytest.mark.gpu
@pytest.mark.skipif(GPU.missing, reason=GPU.install)
def test_a_training_is_on_the_gpu() -> None:
    """Parameters and memory are there, and what comes back is on the CPU."""

    def fit(module: Any, _data: Any, *, course: Course, steps: int, **_: Any) -> Any:
        optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
        for _step in course.steps(steps, module=module, optimizer=optimizer):
            images = course.place(torch.ones(2, 3))
            assert images.is_cuda
            course.minimize(course.loss(images, module(images).square().mean()), optimizer)
        return module

    module = torch.nn.Linear(3, 2)
    course = Course(device="cuda")
    trained = train(fit, module, None, OPTIONS, 0, course)
    assert {parameter.device.type for parameter in trained.parameters()} == {"cpu"}
    effect = course_facts(course)
    assert effect["device_parameters"] == 8
    assert effect["device_bytes_peak"] >= effect["device_bytes_at_start"] >= 32

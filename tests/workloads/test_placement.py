"""Places of replicas: each its own, proven; the processes that are held there."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.machine import nvml, visible_gpus
from pytest_perfgate.records.recipe import Recipe, RuntimeSpec, StepSpec, WorkloadSpec
from pytest_perfgate.registry import lacks
from pytest_perfgate.runtimes import InferenceSession
from pytest_perfgate.workloads import WorkContext, placement, replicas
from pytest_perfgate.workloads.child_processes import Dialogue, Forks
from pytest_perfgate.workloads.evaluated_outputs import OutputRecorder
from pytest_perfgate.workloads.output_check import OutputCheck
from pytest_perfgate.workloads.placement import Place, prove_apart
from pytest_perfgate.workloads.replicas import Replicas

from tests.machine.recorded import Host, uuid

TWO = ("NVIDIA A10",) * 2


def recipe(runtime: RuntimeSpec, devices: int) -> Recipe:
    """One that asks for so many."""
    asked = WorkloadSpec("replicas", {"devices": devices})
    return Recipe("r", "", "r", (), 0, runtime, (), asked)


@pytest.mark.parametrize(("found", "said"), [(0, "0 were"), (1, "1 was"), (2, "")])
def test_too_few_gpus_are_said_with_both_numbers(
    monkeypatch: pytest.MonkeyPatch, found: int, said: str
) -> None:
    """On one GPU or none a recipe of two is skipped; cores are asked for beside them."""
    monkeypatch.setattr(nvml, "connect", lambda: (Host(*TWO[:found]), ""))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.delenv(visible_gpus.VISIBLE, raising=False)
    asked = recipe(RuntimeSpec("torch", {"device": "cuda"}), 2)
    assert placement.on_gpu(asked)
    assert placement.cores_of(asked, 3) == 6
    missing = [each for each in placement.needs(asked, 3) if each.missing]
    assert lacks(missing) == (f"it needs 2 GPUs, and {said} found" if said else "")


def test_cores_are_what_counts_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """`threads` for each device."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})
    asked = recipe(RuntimeSpec("onnxruntime"), 2)
    assert not placement.on_gpu(asked)
    (cores,) = placement.needs(asked, 2)
    assert cores.reason == "it needs 4 cores (2 devices of 2), and 3 were found"
    assert not placement.needs(asked, 1)[0].missing
    with pytest.raises(RuntimeFault, match="needs 4 cores, and 3 were found"):
        placement.take(2, 2, gpu=False)
    assert placement.take(3, 1, gpu=False) == [Place((each,)) for each in range(3)]


def test_threads_are_within_the_cores_the_quota_and_what_the_kernel_spreads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """More threads than cores would measure how they stop each other."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    alone = recipe(RuntimeSpec("onnxruntime"), 1)
    (cores,) = placement.needs(alone, 8)
    assert cores.reason == "it needs 8 cores (threads = 8), and 4 were found"
    assert not placement.needs(alone, 4)[0].missing
    monkeypatch.setattr(placement, "isolated", lambda: frozenset({3}))
    (spread,) = placement.needs(alone, 4)
    assert "1 was found (isolated cores" in spread.reason
    assert not placement.needs(alone, 1)[0].missing
    monkeypatch.setattr(placement, "busy_cores", lambda: 2)
    (limited,) = placement.needs(alone, 4)
    assert "2 were found (the CPU quota of this container; it shows 4)" in limited.reason


@pytest.mark.parametrize(
    ("device", "said"),
    [
        ("cpu", "it needs 8 cores (finetune: 4 processes of 2), and 6 were found"),
        ("cuda", "it needs 4 GPUs, and 2 were found; it needs 8 cores"),
    ],
)
def test_a_training_of_more_processes_than_there_are_devices_is_said(
    monkeypatch: pytest.MonkeyPatch, device: str, said: str
) -> None:
    """Before any work; cores beside GPUs, for each process loads its own images."""
    monkeypatch.setattr(nvml, "connect", lambda: (Host(*TWO), ""))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)))
    monkeypatch.delenv(visible_gpus.VISIBLE, raising=False)
    options = {"steps": 9, "processes": 4, "device": device}
    asked = replace(recipe(RuntimeSpec("onnxruntime"), 1), chain=(StepSpec("finetune", options),))
    assert lacks([need for need in placement.needs(asked, 2) if need.missing]).startswith(said)
    assert len(placement.needs(recipe(RuntimeSpec("onnxruntime"), 1), 2)) == 1


@pytest.mark.parametrize(
    ("given", "found", "said"),
    [
        ([Place((0,)), Place((1,))], [Place((0,)), Place((0,))], "replicas 0 and 1 share a device"),
        ([Place((0,)), Place((1,))], [Place((0,)), Place((2,))], "replica 1 belongs on core 1"),
        ([Place((0,)), Place((1,))], [Place((0,)), Place((1,), "GPU-1")], "but is on GPU-1"),
        (
            [Place((0,), "GPU-1"), Place((1,), "GPU-2")],
            [Place((0,), "1"), Place((1,), "GPU-1")],
            "replicas 0 and 1 share a device",
        ),
        (
            [Place((0,), "GPU-1"), Place((1,), "GPU-2")],
            [Place((0,), "GPU-1"), Place((1,))],
            "replica 1 belongs on GPU-2 .* but is on an unknown device",
        ),
        (
            [Place((0,), "GPU-1"), Place((1,), "GPU-2")],
            [Place((0,), "GPU-1"), Place((1,), "GPU-3")],
            "replica 1 belongs on GPU-2",
        ),
    ],
)
def test_who_is_not_at_a_place_of_its_own_is_found_out(
    given: list[Place], found: list[Place], said: str
) -> None:
    """Shared, elsewhere, or not told."""
    with pytest.raises(RuntimeFault, match=said):
        prove_apart(given, found)


def test_places_of_their_own_are_proven() -> None:
    """CUDA leaves out NVML's "GPU-"; beside a GPU, cores are only given."""
    prove_apart([Place((0, 1)), Place((2, 3))], [Place((1,)), Place((2, 3))])
    prove_apart(
        [Place((0,), "GPU-1"), Place((1,), "GPU-2")], [Place((0,), "1"), Place((0, 1), "2")]
    )


class Imitated(InferenceSession):
    """A session on the first GPU that its process may see, or always on the same."""

    def __init__(self, stuck: bool) -> None:
        shown = uuid(0) if stuck else os.environ[visible_gpus.VISIBLE]
        self.facts: dict[str, Any] = {"device_uuid": shown, "device": "NVIDIA A10"}

    def run(self, inputs: Inputs) -> tuple[Any, ...]:
        """Nothing."""
        return (inputs.images,)

    def peak_device_memory(self) -> int:
        """A megabyte."""
        return 10**6


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Opens replicas on two imitated GPUs; ends them."""
    monkeypatch.setattr(nvml, "connect", lambda: (Host(*TWO), ""))
    monkeypatch.delenv(visible_gpus.VISIBLE, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr(os, "sched_setaffinity", lambda *_: None)
    made: list[Forks] = []

    def kept(*arguments: Any) -> Forks:
        made.append(Forks(*arguments))
        return made[-1]

    monkeypatch.setattr(replicas, "Forks", kept)

    def open_(*, stuck: bool = False, check: OutputCheck | None = None) -> Any:
        pipeline = SimpleNamespace(
            in_tiles=False,
            preprocess=lambda images: (Inputs(np.stack(images)), None),
            postprocess=lambda *_: [],
        )
        context = WorkContext(
            session=lambda: Imitated(stuck),
            module=lambda: None,
            pipeline=pipeline,  # type: ignore[arg-type]
            images=[np.zeros((4, 4, 3), np.uint8)] * 3,
            data=lambda _: None,
            trainer=lambda: lambda: None,
            batch=2,
            threads=1,
            flush=lambda _: None,
            gpu=True,
            grown=lambda: lambda: 5,
            silence=20.0,
            check=check,
        )
        return Replicas().open(Replicas.Options(devices=2, batches=3), context)

    yield open_
    for each in made:
        each.close()


def test_each_replica_sees_one_gpu_that_is_its_own(opened: Callable[..., Any]) -> None:
    """By its UUID, before it opens anything; memory is that of all."""
    work = opened()
    assert work.facts["device_uuid"] == [uuid(0), uuid(1)]
    assert len(set(work.processes)) == 2
    assert len(work.sample(0)) == len(work.columns) == 2 + 2 * 3
    throughput, efficiency, *latencies = work.sample(1)
    assert throughput > 0
    assert efficiency > 0
    assert min(latencies) > 0
    assert work.peak_memory() == 10
    assert work.peak_device_memory() == 2 * 10**6


@pytest.mark.parametrize("evaluated", [0.0, 1.0])
def test_outputs_of_a_replica_are_the_evaluated_ones(
    opened: Callable[..., Any], evaluated: float
) -> None:
    """Black images gave black outputs; where white ones were evaluated, other work is timed."""
    recorder = OutputRecorder()
    for index in range(3):
        recorder.add(index, (np.full((1, 4, 4, 3), evaluated, np.float32),), "")
    check = OutputCheck([np.zeros((4, 4, 3), np.uint8)] * 3, recorder.finish(), tolerance=0.02)
    work = opened(check=check)
    if not evaluated:
        assert work.sample(0)
        return
    with pytest.raises(RuntimeFault, match="output of a batch of 2 is not the evaluated one"):
        work.sample(0)


def test_two_replicas_on_one_gpu_are_no_measurement(opened: Callable[..., Any]) -> None:
    """A runtime that chooses its device by itself: an error that names both."""
    with pytest.raises(RuntimeFault, match="replicas 0 and 1 share a device"):
        opened(stuck=True)


@dataclass(frozen=True)
class Said:
    """A request or an answer of the tests below."""

    word: str


DIALOGUE: Dialogue[Any, Any] = Dialogue.of([Said], [Said, Place])


@pytest.mark.parametrize(
    ("does", "said"),
    [
        (lambda: 1 / 0, "one: it raised ZeroDivisionError: division by zero"),
        (lambda: os._exit(3), "one died: it ended with exit code 3"),
        (lambda: os.kill(os.getpid(), 9), "one died: it was killed \\(SIGKILL\\)"),
        (lambda: time.sleep(60), "one: no answer for 1 s"),
    ],
)
def test_a_child_that_fails_is_told_at_once_and_not_waited_for(
    does: Callable[[], Any], said: str
) -> None:
    """Another may be waiting for it, for ever."""

    def begin(answer: Callable[[], Any]) -> Any:
        return lambda: (Said("ready"), lambda _: answer() or Said("done"))

    forks = Forks(["one", "two"], [begin(does), begin(lambda: time.sleep(30))], DIALOGUE, 1.0)
    try:
        assert forks.first() == [Said("ready")] * 2
        with pytest.raises(RuntimeFault, match=said):
            forks.ask([0], Said("now"))
    finally:
        forks.close()


@pytest.mark.gpu
def test_replicas_on_real_gpus() -> None:
    """Each is on the one that it was given (needs two GPUs and a torch with CUDA)."""
    found, why = visible_gpus.count()
    if found < 2:
        pytest.skip(f"it needs 2 GPUs, and {found} found {why}")
    torch = pytest.importorskip("torch")
    if not torch.version.cuda:
        pytest.skip("a torch that is built with CUDA is needed")

    def begin(place: Place) -> Any:
        def start() -> Any:
            place.enter()
            facts = {"device_uuid": str(torch.cuda.get_device_properties(0).uuid)}
            return placement.actual_place(facts), lambda request: request

        return start

    given = placement.take(2, 1, gpu=True)
    forks = Forks(["one", "two"], [begin(each) for each in given], DIALOGUE, 60.0)
    try:
        prove_apart(given, forks.first())
    finally:
        forks.close()

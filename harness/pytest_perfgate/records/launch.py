"""What one launch, one parity check and one long run measured of an arm."""

from __future__ import annotations

from pydantic import Field, model_validator

from pytest_perfgate.frozen import Frozen


class RateRun(Frozen):
    """A run of the search for the highest rate.

    Attributes:
        rate: requests per second that were offered.
        p50, p99: latency in seconds; None: the run ended early, or had too few requests.
        slow, requests: requests above the limit, and all of them.
    """

    rate: float
    p50: float | None
    p99: float | None
    slow: int
    requests: int


class Launch(Frozen):
    """What one launch measured of one arm.

    Attributes:
        index: number of the launch in its suite, from 0.
        rounds: the round of each sample, ascending. Samples of two arms with the same number are
            of the same image and were taken next to each other. Empty: sample k is of round k.
        core: the core that the launch was pinned to, -1 where pinning is not possible.
        load_time, preprocess, inference, postprocess: seconds; one entry per timed inference.
        batches: seconds per timed batch of `batch_size` images, all stages.
        peak_memory: bytes, see the metric of that name.
        peak_batch: images in the batch that the peak includes, 0 for none; None: that of `batches`.
        device: seconds on the device, one entry per timed inference; empty: not measured.
        device_memory_allocator: the most that the runtime's allocator held on the device, in bytes.
        device_memory_process: the most that the process had on the device, in bytes.
        energies: joules per inference, one entry for each time that they were counted.
        sm_clock: of its device, Hz, mean over the rounds.
        values: columns of a workload that is not images one at a time, by name; for each round
            one entry, or equally many.
        pairs: seconds of each request in turns that are compared; turn k of two arms has the same
            requests at the same times. Empty where a turn was not measured.
        rates: the runs of its search for the highest rate, in their order.
        started: seconds since the suite's first launch.
    """

    index: int
    core: int
    started: float
    load_time: float
    preprocess: tuple[float, ...]
    inference: tuple[float, ...]
    postprocess: tuple[float, ...]
    rounds: tuple[int, ...] = ()
    batches: tuple[float, ...] = ()
    batch_size: int = 0
    peak_memory: int | None = None
    peak_batch: int | None = None
    device: tuple[float, ...] = ()
    device_memory_allocator: int | None = None
    device_memory_process: int | None = None
    energies: tuple[float, ...] = ()
    sm_clock: float | None = None
    values: dict[str, tuple[float, ...]] = Field(default_factory=dict)
    pairs: tuple[tuple[float, ...], ...] = ()
    rates: tuple[RateRun, ...] = ()

    @model_validator(mode="after")
    def _of_the_same_inferences(self) -> Launch:
        if not len(self.preprocess) == len(self.inference) == len(self.postprocess):
            raise ValueError("the stages of a launch are of different numbers of inferences")
        for samples in (self.inference, self.device, *self.values.values()):
            if self.rounds and len(samples) % len(self.rounds):
                raise ValueError(f"{len(samples)} samples of {len(self.rounds)} rounds")
        return self

    @property
    def latency(self) -> tuple[float, ...]:
        """Seconds per image, all three stages."""
        return tuple(
            a + b + c
            for a, b, c in zip(self.preprocess, self.inference, self.postprocess, strict=True)
        )


class Parity(Frozen):
    """A recipe's outputs beside its reference's, over drawn inputs.

    Attributes:
        value: the largest difference, relative to the largest value of either.
        tried: how many inputs.
        sizes: height and width of those.
        smallest: the smallest input that breaks the budget, in words; "" when none does.
    """

    value: float
    tried: int
    sizes: tuple[tuple[int, int], ...]
    smallest: str = ""


class Growth(Frozen):
    """How a recipe's memory grew in one long run.

    Attributes:
        stretches: bytes gained per 1,000 images, stretch by stretch.
        images: of all stretches together.
        warm_up: images before them.
    """

    stretches: tuple[float, ...] = Field(min_length=2)  # fewer have no spread
    images: int
    warm_up: int

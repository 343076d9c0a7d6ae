"""Times that differ at equal cycles are the clock's; a slower network is not."""

from __future__ import annotations

from pytest_perfgate.records.launch import Launch
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.verdicts.gpu_clock import clock_effects, launch_gaps


def launch(index: int, seconds: float, clock: float | None, device: float | None = None) -> Launch:
    """One of three equal samples."""
    return Launch(
        index=index,
        core=0,
        started=0.0,
        load_time=0.1,
        preprocess=(0.0,) * 3,
        inference=(seconds,) * 3,
        postprocess=(0.0,) * 3,
        device=() if device is None else (device,) * 3,
        sm_clock=clock,
    )


def record(*launches: Launch) -> RecipeRecord:
    """A recipe that was measured so."""
    return RecipeRecord(name="fp16", reference="fp16", launches=launches)


def test_slower_at_a_lower_clock_in_equal_cycles_is_named() -> None:
    """10 ms at 1.5 GHz are the cycles of 12.5 ms at 1.2 GHz."""
    (line,) = clock_effects([record(launch(0, 0.010, 1.5e9), launch(1, 0.0125, 1.2e9))])
    assert "+25.0 % in launch 1 beside launch 0 at equal cycles" in line
    assert line.endswith("a clock effect")


def test_slower_at_the_same_clock_is_no_clock_effect() -> None:
    """Nor is a difference too small to tell, or one whose clock is not known."""
    assert clock_effects([record(launch(0, 0.010, 1.5e9), launch(1, 0.0125, 1.5e9))]) == ()
    assert clock_effects([record(launch(0, 0.010, 1.5e9), launch(1, 0.0101, 1.48e9))]) == ()
    assert clock_effects([record(launch(0, 0.010, None), launch(1, 0.0125, None))]) == ()


def test_the_devices_own_time_is_what_has_cycles() -> None:
    """The host's part of an inference does not follow the GPU's clock."""
    result = record(launch(0, 0.020, 1.5e9, 0.010), launch(1, 0.0225, 1.2e9, 0.0125))
    assert "+25.0 %" in clock_effects([result])[0]


def test_an_inference_that_leaves_the_device_idle_is_named() -> None:
    """From a fifth of it on; without the device's time nothing is said."""
    (line,) = launch_gaps([record(launch(0, 0.010, None, 0.004))])
    assert line.startswith("fp16: 60 % of an inference (6.00 ms)")
    assert launch_gaps([record(launch(0, 0.010, None, 0.009))]) == ()
    assert launch_gaps([record(launch(0, 0.010, None))]) == ()

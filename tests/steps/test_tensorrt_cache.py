"""What the step `tensorrt` keeps: timing caches, and engines by machine and version."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pytest_perfgate.artifact import Artifact
from pytest_perfgate.building.keys import step_key
from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.runtimes import cuda, tensorrt_package
from pytest_perfgate.steps import tensorrt_build
from pytest_perfgate.steps.aotinductor import AotInductor
from pytest_perfgate.steps.half import Half
from pytest_perfgate.steps.tensorrt import TensorRt as Step

from tests.steps.rtx import options


class Config:
    """An IBuilderConfig that times as tensorrt does: each build adds an entry to the cache."""

    class Cache:
        """ITimingCache: a heading, and entries."""

        def __init__(self, content: bytes) -> None:
            self.content = content or b"head"

        def serialize(self) -> bytes:
            """All of it."""
            return self.content

    def __init__(self) -> None:
        self.cache: Any = None

    def create_timing_cache(self, content: bytes) -> Cache:
        """From what was kept."""
        return self.Cache(content)

    def set_timing_cache(self, cache: Cache, ignore_mismatch: bool) -> bool:
        """Refuses one that is damaged."""
        assert ignore_mismatch is False
        if not cache.content.startswith(b"head"):
            return False
        self.cache = cache
        return True

    def get_timing_cache(self) -> Cache:
        """That which was set."""
        assert isinstance(self.cache, Config.Cache)
        return self.cache

    def build(self) -> None:
        """Times one kernel."""
        self.cache.content += b"+"


GPU_A, GPU_B = (
    {"gpu": f"GPU {name}", "compute_capability": "8.6", "driver": "580"} for name in "AB"
)


def timed(folder: Path, device: Any, version: str = "10.16", *, builds: bool = True) -> str:
    """The state of the timing cache of a build."""
    config = Config()
    trt = SimpleNamespace(__name__="tensorrt", __version__=version, BuilderFlag=None)
    cache = tensorrt_build._TimingCache(trt, config, Step.Options(), folder, device)
    if builds:
        config.build()
    return cache.keep()


def test_the_timing_cache_is_warm_for_the_same_gpu_and_version_only(tmp_path: Path) -> None:
    """It is recorded in which state a build began; a damaged file is begun anew."""
    assert timed(tmp_path, GPU_A) == "cold"
    assert timed(tmp_path, GPU_A) == "warm"
    assert timed(tmp_path, GPU_B) == "cold"
    assert timed(tmp_path, GPU_A, version="11.0") == "cold"
    assert [file.suffix for file in tmp_path.iterdir()] == [".timing"] * 3
    for file in tmp_path.iterdir():
        file.write_bytes(b"rubbish")
    assert timed(tmp_path, GPU_A) == "cold"
    assert timed(tmp_path, GPU_A) == "warm"


def test_a_package_that_times_nothing_keeps_nothing(
    exported: Artifact, make_context: Any, tmp_path: Path
) -> None:
    """As tensorrt_rtx: its timing cache is there, and stays empty."""
    assert timed(tmp_path, GPU_A, builds=False) == "unused"
    kept = tmp_path / "kept"
    kept.mkdir()
    applied = Step().apply(exported, options(), make_context(cache=kept))
    assert applied.effect["timing_cache"] == "unused"
    assert list(kept.iterdir()) == []


SUITE: Any = SimpleNamespace(threads=1, data={}, input={}, trainer="", planted=None, state=())
DATA: Any = SimpleNamespace(example=lambda count: Inputs(np.zeros((count, 3, 8, 8), np.float32)))


def test_another_gpu_driver_or_version_builds_its_own_engine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The key of the link in the cache has all three."""
    module = SimpleNamespace(__version__="10.16")
    monkeypatch.setattr(tensorrt_package, "package", lambda _: module)
    keys = set()
    for device in (None, GPU_A, GPU_B, {**GPU_A, "driver": "590"}):
        monkeypatch.setattr(cuda, "device_key", lambda device=device: device)
        keys.add(step_key("before", Step(), Step.Options(), SUITE, DATA))
    module.__version__ = "11.0"
    keys.add(step_key("before", Step(), Step.Options(), SUITE, DATA))
    assert len(keys) == 5
    assert step_key("before", Step(), Step.Options(), SUITE, DATA) in keys


def test_another_cpu_builds_its_own_package_of_compiled_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The key of `aotinductor` has the CPU's features; that of `half` does not depend on it."""
    from pytest_perfgate.steps import aotinductor

    def keys() -> list[str]:
        steps: list[Any] = [AotInductor(), Half()]
        return [step_key("before", each, each.Options(), SUITE, DATA) for each in steps]

    here = keys()
    poor = aotinductor.this_machine().model_copy(update={"features": ()})
    monkeypatch.setattr(aotinductor, "this_machine", lambda: poor)
    there = keys()
    assert here[0] != there[0]
    assert here[1] == there[1]


def test_a_package_that_is_not_installed_is_named_with_its_command() -> None:
    """Before anything of the chain is built."""
    missing = [name for name, need in tensorrt_package.PACKAGES.items() if need.missing]
    if not missing:
        pytest.skip("both packages are installed here")
    with pytest.raises(PerfgateError) as caught:
        tensorrt_package.package(missing[0])
    assert missing[0] in caught.value.problem
    assert "pip install" in caught.value.next_step

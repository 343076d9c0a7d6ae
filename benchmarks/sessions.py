"""Real sessions on the demo detector, one budget each, with a true slow-down where asked.

A project of two versions is laid out in a folder: the same model, data and recipe, and a runtime
of the project's own that takes 1 + factor of its time in the newer version. A session measures
both versions in the same launches, as `pytest --perf --perf-base REF` does after git has checked
the base out; everything from the suite file to the verdict is the product's.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from pytest_perfgate.baselines.update import baseline_of
from pytest_perfgate.machine.fingerprint import this_environment, this_machine
from pytest_perfgate.machine.locks import exclusive
from pytest_perfgate.measure.base_checkout import Commit
from pytest_perfgate.measure.worker_environment import allocator
from pytest_perfgate.metric import PERFORMANCE
from pytest_perfgate.records.recipe import Budget, Limit, LimitKind
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.session import SessionRecord, SuiteRecord
from pytest_perfgate.records.settings import Settings
from pytest_perfgate.records.verdict import Verdict
from pytest_perfgate.search.run import RangeOutcome
from pytest_perfgate.session.suite_at import BaseTree
from pytest_perfgate.session.suite_run import SuiteRun
from pytest_perfgate.suite import reading
from pytest_perfgate.verdicts.evidence import Evidence, Risk
from pytest_perfgate.verdicts.judge import judge

from benchmarks.workload import OPTIONS, ROOT, Kind, prepare

METRIC = "latency_p50"
_IMAGES = 24  # of the validation set: accuracy is not what is judged here
_RUNTIME = '''\
"""The runtimes of the demo, slower by a factor that each version of the code has of its own."""

from pytest_perfgate.runtimes import InferenceSession
from pytest_perfgate.runtimes.onnxruntime import OnnxRuntime
from pytest_perfgate.runtimes.torch import Torch

FACTOR = {factor!r}


class Slowed(InferenceSession):
    def __init__(self, session):
        from benchmarks.workload import slowed

        self.facts = session.facts
        self.close = session.close
        self.device_seconds = session.device_seconds
        self.peak_device_memory = session.peak_device_memory
        self.flush_cache = session.flush_cache
        self._session = session
        self._call = slowed(self._work, FACTOR)

    def _work(self):
        self._outputs = self._session.run(self._inputs)

    def run(self, inputs):
        self._inputs = inputs
        self._call()
        return self._outputs


class CalibratedTorch(Torch):
    name = "calibrated_torch"

    def open(self, artifact, options, context):
        return Slowed(super().open(artifact, options, context))


class CalibratedOnnx(OnnxRuntime):
    name = "calibrated_onnx"

    def open(self, artifact, options, context):
        return Slowed(super().open(artifact, options, context))
'''
_MODEL = '''\
"""The demo detector, and a few images of its validation set."""


def build():
    from suites.digits.model import build

    return build()


def validation():
    import numpy as np

    from pytest_perfgate.tasks.detection import DetectionData
    from suites.digits.data import SPLITS, Composer, instances

    split = SPLITS["validation"]
    composer = Composer(split, split.seed)
    scenes = [composer.scene() for _ in range({images})]
    return DetectionData(np.stack([scene.image for scene in scenes]), instances(scenes))
'''
_RECIPES = """\
[suite]
task  = "detection"
model = "{model}"
[suite.data]
validation = "calibrated_model:validation"
[[recipe]]
name    = "detector"
runtime = {runtime}
[recipe.budgets]
latency_p50 = {{ regression = "{limit:g}%" }}
"""
_POINTS = """\
[pytest_perfgate.runtimes]
calibrated_torch = calibrated:CalibratedTorch
calibrated_onnx = calibrated:CalibratedOnnx
"""


@dataclass(frozen=True)
class Told:
    """What one session said.

    Attributes:
        limit: the budget's `regression`, 0.05 for 5 %.
        factor: the true slow-down.
        seconds: of measuring, from the plan to the verdict.
        whole: of the session, building and accuracy included.
        verdict: on the newer version against the older.
        record: the suite, as the session's file has it.
    """

    kind: Kind
    limit: float
    factor: float
    seconds: float
    whole: float
    verdict: Verdict
    record: SuiteRecord


class Project:
    """The two versions, laid out below `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        site = folder / "site"
        info = site / "calibrated-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: calibrated\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(_POINTS)
        paths = [str(site), str(ROOT), os.environ.get("PYTHONPATH", "")]
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        self._base = folder / "base"
        self._now = folder / "now"
        for root in (self._base, self._now):
            (root / "suites" / "detector").mkdir(parents=True)
            (root / "calibrated_model.py").write_text(_MODEL.format(images=_IMAGES))
            (root / "calibrated.py").write_text(_RUNTIME.format(factor=0.0))
            shutil.copy(prepare() / "model.onnx", root / "suites" / "detector" / "detector.onnx")
        sys.path[:0] = [str(site), str(self._base)]  # this process reads the runtimes' options

    def session(
        self, kind: Kind, factor: float, limit: float, seconds: float, alpha: float = 0.01
    ) -> Told:
        """One session with one budget: `regression` of the median latency, `limit` allowed."""
        start = time.monotonic()
        base = BaseTree(Commit("base", "0" * 40, self._base, ""), self._base)
        record = self._measured(kind, factor, limit, self._settings(seconds, alpha), base)
        whole = time.monotonic() - start
        told = record.phases["measure"]
        return Told(kind, limit, factor, told, whole, record.verdicts[0], record)

    def stored(self, kind: Kind, seconds: float, alpha: float = 0.01) -> SuiteRecord:
        """One session of the unchanged code alone, with as many launches as a baseline has."""
        settings = replace(self._settings(seconds, alpha), update=True)
        return self._measured(kind, 0.0, 0.05, settings, None)

    def _measured(
        self, kind: Kind, factor: float, limit: float, settings: Settings, base: BaseTree | None
    ) -> SuiteRecord:
        (self._now / "calibrated.py").write_text(_RUNTIME.format(factor=factor))
        family = kind.partition("_")[0]
        model = "detector.onnx" if family == "onnx" else "calibrated_model:build"
        options = "".join(f', {name} = "{value}"' for name, value in OPTIONS[kind].items())
        runtime = f'{{ name = "calibrated_{family}"{options} }}'
        for root in (self._base, self._now):
            (root / "suites" / "detector" / "recipes.toml").write_text(
                _RECIPES.format(model=model, runtime=runtime, limit=limit * 100)
            )
        read = reading.read(self._now / "suites" / "detector" / "recipes.toml", self._now)
        if read.suite is None or read.problems:
            raise RuntimeError(f"the suite cannot be read: {read.suite_problems or read.problems}")
        with exclusive(None, 600.0, lambda _: None):
            return SuiteRun(
                RangeOutcome(read.suite),
                {"detector": [METRIC]},
                settings=settings,
                machine=this_machine(),
                environment=this_environment(allocator=allocator()),
                limits=1,
                base=base,
                show=lambda _: None,
                say=lambda _: None,
            ).run()

    def _settings(self, seconds: float, alpha: float) -> Settings:
        return Settings(
            root=self._now,
            alpha=alpha,
            seconds=seconds,
            strict=False,
            update=False,
            reason="",
            reports=self._folder / "reports",
            baselines=self._folder / "baselines",
            cache=self._folder / "cache",
            timeout=120.0,
            wait=0.0,
            ci=False,
            command="",
        )


def of_copies(told: Told, limit: float, alpha: float = 0.01) -> Verdict:
    """The verdict on the reference's unchanged copy, as if it were a recipe of its own."""
    copy, reference = told.record.controls[0], told.record.recipes[0]
    evidence = Evidence(record=copy, reference=reference)
    budget = Budget(METRIC, (Limit(LimitKind.GROWTH, limit, f"{limit:.0%}"),))
    return judge(budget, PERFORMANCE[METRIC], evidence, Risk(alpha), datetime.now(UTC))


def across(told: Sequence[Told], limit: float, alpha: float = 0.01) -> list[Verdict]:
    """Verdicts on the unchanged version of each session against each other session's, as a stored
    baseline would be judged.
    """
    machine, environment = this_machine(), this_environment(allocator=allocator())
    budget = Budget(METRIC, (Limit(LimitKind.REGRESSION, limit, f"{limit:.0%}"),))
    verdicts = []
    for before in told:
        session = SessionRecord(
            id="calibration",
            started=datetime.now(UTC).isoformat(timespec="seconds"),
            seconds=0.0,
            command="",
            machine=machine,
            environment=environment,
        )
        stored = baseline_of(session, before.record, _unchanged(before), PERFORMANCE)
        for after in told:
            if after is before or after.kind != before.kind:
                continue
            evidence = Evidence(
                record=_unchanged(after), baseline=stored, yardstick=after.record.yardstick
            )
            verdicts.append(
                judge(budget, PERFORMANCE[METRIC], evidence, Risk(alpha), datetime.now(UTC))
            )
    return verdicts


def _unchanged(told: Told) -> RecipeRecord:
    base = told.record.base
    if base is None:
        raise ValueError("the session had no base")
    return base.recipes[0].without(told.record.discarded)

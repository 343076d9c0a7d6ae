"""Launches, recipes and baselines to be judged."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pytest_perfgate.baselines.baseline import Baseline, StoredMetric
from pytest_perfgate.machine.fingerprint import Environment, Machine
from pytest_perfgate.metric import PERFORMANCE
from pytest_perfgate.records.launch import Launch
from pytest_perfgate.records.recipe import Budget, Limit, LimitKind
from pytest_perfgate.records.recipe_record import ArtifactInfo, RecipeRecord
from pytest_perfgate.records.verdict import Verdict
from pytest_perfgate.units import Unit
from pytest_perfgate.verdicts.evidence import Evidence, Risk
from pytest_perfgate.verdicts.judge import judge

NOW = datetime(2026, 11, 20, tzinfo=UTC)
RISK = Risk(fail=0.01 / 20)
LATENCY = PERFORMANCE["latency_p50"]
SPREAD = (0.99, 1.0, 1.01, 1.0, 0.995, 1.005, 1.0, 0.99, 1.01, 1.0)
MACHINE = Machine(cpu="Test", features=("avx2",), cores=4, memory=16, os="Linux")


def launches(seconds: float, count: int = 14, memory: int = 100) -> tuple[Launch, ...]:
    """Launches whose medians scatter by one percent."""
    return tuple(
        Launch(
            index=index,
            core=0,
            started=float(index),
            load_time=0.1 * SPREAD[index % 10],
            preprocess=(0.0,) * 3,
            inference=(seconds * SPREAD[index % 10],) * 3,
            postprocess=(0.0,) * 3,
            peak_memory=round(memory * 1e6 * SPREAD[index % 10]),
        )
        for index in range(count)
    )


def recipe(name: str, seconds: float, count: int = 14, size: int = 1000) -> RecipeRecord:
    """A measured recipe."""
    return RecipeRecord(
        name=name,
        reference="reference",
        parent="" if name == "reference" else "reference",
        artifact=ArtifactInfo(kind="onnx", digest="", size=size, files={}),
        launches=launches(seconds, count),
    )


def stored(seconds: float, yard: float = 0.003) -> Baseline:
    """A baseline of ten launches, ten days old."""
    values = tuple(seconds * factor for factor in SPREAD)
    metric = StoredMetric(unit=Unit.SECONDS, value=seconds, launches=values, yardstick=(yard,) * 10)
    return Baseline(
        suite="s",
        recipe="candidate",
        recorded=(NOW - timedelta(days=10)).isoformat(),
        machine=MACHINE,
        environment=Environment(python="3", kernel="6", packages={}),
        spec="",
        metrics={"latency_p50": metric},
    )


def verdict(
    kind: LimitKind, value: float, seconds: float, *, count: int = 14, yard: float = 0.003
) -> Verdict:
    """The verdict on a candidate beside a reference of 20 ms and a baseline of 10 ms."""
    evidence = Evidence(
        record=recipe("candidate", seconds, count),
        reference=recipe("reference", 0.02, count),
        baseline=stored(0.010),
        yardstick=launches(yard, count),
    )
    budget = Budget("latency_p50", (Limit(kind, value, str(value)),))
    return judge(budget, LATENCY, evidence, RISK, NOW)

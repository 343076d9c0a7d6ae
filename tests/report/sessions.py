"""Sessions as they come out of a real run, from a seeded generator: healthy, broken, hostile."""

from __future__ import annotations

import random
from collections.abc import Mapping

import numpy as np
from pytest_perfgate.machine.conditions import Conditions
from pytest_perfgate.machine.fingerprint import Environment, Gpu, Machine
from pytest_perfgate.metric import PERFORMANCE, Better, Metric, Rule
from pytest_perfgate.records.accuracy import Accuracy, Matches, Packed
from pytest_perfgate.records.image_losses import SeenBox, Thumbnail, WorseImage
from pytest_perfgate.records.launch import Launch
from pytest_perfgate.records.profile import Operator, Profile
from pytest_perfgate.records.recipe_record import ArtifactInfo, Failure, Link, RecipeRecord
from pytest_perfgate.records.session import LastSessions, SessionRecord, SuiteRecord
from pytest_perfgate.records.verdict import (
    Change,
    Earlier,
    LimitResult,
    MetricSummary,
    Status,
    Verdict,
)
from pytest_perfgate.units import Unit

MAP = Metric(
    "map", Unit.SCORE, Better.HIGHER, Rule.IMAGES, False, "Mean average precision over IoU."
)
METRICS: Mapping[str, Metric] = {"map": MAP, **PERFORMANCE}

FACTORS = {"fp32": 1.0, "onnx": 0.4, "int8": 0.25}

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg onload=alert(1)>",
    "</script></style></title><b>bold</b>",
    "]]><!-- {{ 7*7 }} {% raw %} ${7*7}",
    "&lt;i&gt; &amp; &#x3c;script&#x3e;",
    "javascript:alert(1)",
    "精度 Größe ✓ \u202egnp.exe \U0001f422",
    "long" * 150,
)


def launch(generator: random.Random, index: int, factor: float) -> Launch:
    """One launch of a recipe that takes about 30 ms times `factor`, with a tail."""

    def times(middle: float) -> tuple[float, ...]:
        return tuple(middle * generator.lognormvariate(0.0, 0.15) for _ in range(40))

    return Launch(
        index=index,
        core=index % 2,
        started=3.0 * index,
        load_time=0.05 * factor,
        preprocess=times(0.0005),
        inference=times(0.029 * factor),
        postprocess=times(0.0008),
        batches=tuple(0.1 * factor * generator.uniform(0.95, 1.1) for _ in range(5)),
        batch_size=4,
        peak_memory=int(180e6 * (0.5 + factor / 2)),
    )


def summaries(
    factor: float, *, reference: bool, baseline: bool = True
) -> tuple[MetricSummary, ...]:
    """The metrics of one recipe, with what they compare with."""
    values = {
        "map": 0.75 + 0.02 * (factor - 1),
        "latency_p50": 0.030 * factor,
        "latency_p95": 0.040 * factor,
        "preprocess_p50": 0.0005,
        "inference_p50": 0.029 * factor,
        "postprocess_p50": 0.0008,
        "throughput": 40 / factor,
        "peak_memory": 180e6 * (0.5 + factor / 2),
        "artifact_size": 44e6 * factor,
        "load_time": 0.05 * factor,
    }
    first = {name: value / factor for name, value in values.items()} | {"map": 0.75}
    return tuple(
        MetricSummary(
            metric=name,
            value=value,
            low=value * 0.97,
            high=value * 1.04,
            reference=first[name] if not reference else None,
            baseline=value * 1.01 if baseline else None,
        )
        for name, value in values.items()
    )


def matches(generator: random.Random) -> Matches:
    """A hundred detections of which those with higher scores are right more often."""
    scores = [generator.random() for _ in range(100)]
    hits = [generator.random() < score for score in scores]
    return Matches(
        thresholds=(0.5,),
        categories=("cat", "dog"),
        image=Packed.of(np.zeros(100, np.int32)),
        category=Packed.of(np.zeros(100, np.int16)),
        score=Packed.of(np.array(scores, np.float32)),
        hits=Packed.of(np.array(hits, np.uint16)),
        ignored=Packed.of(np.zeros(100, np.uint16)),
        truth=Packed.of(np.ones((1, 2), np.int32)),
    )


def worse(text: str) -> WorseImage:
    """An image in which one of two objects is no longer found."""
    cat = SeenBox(box=(10, 10, 60, 60), category="cat" + text, score=0.9, object=0)
    dog = SeenBox(box=(170, 80, 195, 99), category="dog" + text, score=0.8, object=1)
    return WorseImage(image=7, loss=1.1, reference=(cat, dog), recipe=(weaker(cat),))


def weaker(box: SeenBox) -> SeenBox:
    """The same box with a lower score."""
    return box.model_copy(update={"score": 0.6})


def thumbnail(text: str) -> Thumbnail:
    """A small real picture with two objects."""
    from pytest_perfgate.worker.thumbnails import thumbnail as small

    pixels = np.linspace(0, 255, 200 * 100 * 3).reshape(100, 200, 3).astype(np.uint8)
    media, data = small(pixels)
    objects = (
        SeenBox(box=(10, 10, 60, 60), category="cat" + text),
        SeenBox(box=(170, 80, 195, 99), category="dog" + text),
    )
    name = "picture.png" + text
    return Thumbnail(name=name, width=200, height=100, objects=objects, media=media, data=data)


def recipe(generator: random.Random, name: str, text: str = "") -> RecipeRecord:
    """A measured recipe; `text` is put wherever a user's words can stand."""
    factor = FACTORS[name]
    steps = {"fp32": (), "onnx": ("export",), "int8": ("export", "quantize")}[name]
    return RecipeRecord(
        name=name + text,
        reference="fp32" + text,
        parent="" if name == "fp32" else "fp32" + text,
        spec={"runtime": {"name": "onnxruntime" + text, "options": {}}},
        lineage=tuple(
            Link(
                step=step + text,
                options={"weights" + text: "int8" + text},
                effect={"quantized_ops" + text: 37, "how" + text: "static" + text, "folded": True},
                seconds=1.5,
                cached=step == "export",
                key="k" * 16,
                machine="builder-4c" + text if step == "export" else "",
            )
            for step in steps
        ),
        artifact=ArtifactInfo(
            kind="onnx" + text, digest="d" * 64, size=int(44e6 * factor), files={"model.onnx": 1}
        ),
        runtime_facts={"provider" + text: "CPUExecutionProvider" + text, "threads": 1},
        accuracy=Accuracy(
            values={"map": 0.75},
            per_category={"cat" + text: 0.5 + 0.1 * factor, "dog" + text: 0.4},
            images=200,
            data_digest="a" * 8,
            predictions_digest="b" * 8,
            matches=matches(generator),
        ),
        worse=None if name == "fp32" else (worse(text),),
        profile=Profile(
            tool="a profiler" + text,
            inferences=10,
            seconds=0.03 * factor,
            operators=(
                Operator(name="stem" + text, kind="Conv" + text, calls=1, seconds=0.02 * factor),
                Operator(name="head" + text, kind="Busy", calls=2, seconds=0.004),
            ),
        ),
        launches=tuple(launch(generator, index, factor) for index in range(3)),
    )


def verdict(name: str, metric: str, status: Status, text: str = "") -> Verdict:
    """A verdict of this status with the evidence that such a one has."""
    unit = METRICS[metric].unit
    measured = status is not Status.ERROR
    fails = status is Status.FAIL
    value = 0.7 if unit is Unit.SCORE else 0.0369
    return Verdict(
        recipe=name + text,
        metric=metric,
        status=status,
        unit=unit.value,
        value=value if measured else None,
        low=value * 0.98 if measured else None,
        high=value * 1.02 if measured else None,
        baseline=0.030 if status is Status.FAIL else None,
        baseline_age=12.0 if status is Status.FAIL else None,
        limits=(
            LimitResult(
                kind="regression",
                text="5%" + text,
                status=status,
                limit=1.05,
                estimate=1.23 if measured else None,
                low=1.21 if measured else None,
                high=1.25 if measured else None,
                scale="ratio",
                against="baseline of 2026-11-11" + text,
                reason=f"because of {status.value.lower()}{text}",
                sample=3,
            ),
        ),
        reason=f"{name} {metric} ended as {status.value.lower()}{text}",
        next_step=f"pytest --perf -k {name}{text}",
        slower=(f"beside something{text}", f"operators: head{text}") if fails else (),
    )


def last_sessions(verdicts: tuple[Verdict, ...]) -> dict[str, dict[str, LastSessions]]:
    """Twelve sessions of each budget, one without a value, the last three alike."""
    values = (1.0, 1.01, 0.99, 1.0, None, 1.02, 1.0, 0.98, 1.01, 1.2, 1.21, 1.2)
    line = LastSessions(values=values, since="2026-11-21", alike=3)
    lines: dict[str, dict[str, LastSessions]] = {}
    for one in verdicts:
        lines.setdefault(one.recipe, {})[one.metric] = line
    return lines


def session(
    verdicts: tuple[Verdict, ...] = (),
    *,
    text: str = "",
    failure: Failure | None = None,
    complete: bool = True,
    seed: int = 1,
) -> SessionRecord:
    """A session of one suite with three recipes; with `failure` the last was not measured."""
    generator = random.Random(seed)  # noqa: S311 - made-up measurements, no secret
    records = [recipe(generator, name, text) for name in FACTORS]
    tables = {
        record.name: summaries(FACTORS[name], reference=name == "fp32")
        for name, record in zip(FACTORS, records, strict=True)
    }
    if failure is not None:
        del tables[records[-1].name]
        records[-1] = RecipeRecord(
            name="int8" + text, reference="fp32" + text, parent="fp32" + text, failure=failure
        )
    suite = SuiteRecord(
        name="digits" + text,
        folder="suites/digits" + text,
        task="detection" + text,
        model="suites.digits.model:build" + text,
        batch=4,
        recipes=tuple(records),
        yardstick=tuple(launch(generator, index, 0.1) for index in range(3)),
        conditions=(
            Conditions(index=0, seconds=2.5, cores=(0,), stolen=0.012, others=0.034, swapped_in=1),
            Conditions(index=1, cores=(1,), frequency_lowest=2.5e9, frequency_mean=3e9),
            Conditions(
                index=2, others=0.5, quota_stops=2, quota_stopped=0.01, discarded="x" + text
            ),
        ),
        summaries=tables,
        verdicts=verdicts,
        changes=(
            Change(
                kind="loosen",
                recipe="int8" + text,
                metric="latency_p95",
                unit="s",
                before=0.0075,
                after=0.0092,
                reason="a slower but safer kernel" + text,
            ),
        ),
        suspects=("onnxruntime 1.22.0 -> 1.23.0" + text,),
        notes=("a note" + text,),
        phases={"build": 10.0, "measure": 60.0},
        thumbnails={7: thumbnail(text)},
        last_sessions=last_sessions(verdicts),
    )
    return SessionRecord(
        id="20261123-150131",
        started="2026-11-23T15:01:31+00:00",
        seconds=303.0,
        command="pytest --perf" + text,
        commit="e513370d21aa" + text,
        dirty=True,
        machine=Machine(
            cpu="Some CPU" + text,
            features=("avx2", "fma" + text),
            cores=2,
            memory=8,
            gpus=(Gpu(name="Some GPU" + text, count=1, driver="555" + text),),
            os="Linux" + text,
        ),
        environment=Environment(
            python="3.11.9",
            kernel="6.1" + text,
            packages={"numpy" + text: "2.0" + text},
            allocator="MALLOC" + text,
        ),
        settings={"alpha": 0.02, "limits": 31},
        complete=complete,
        suites=(suite,),
    )


def healthy() -> SessionRecord:
    """Every budget is kept."""
    return session(
        tuple(
            verdict(name, metric, Status.PASS)
            for name in FACTORS
            for metric in ("map", "latency_p50")
        )
    )


def many(count: int = 40) -> SessionRecord:
    """A session of so many recipes, most of them near each other, each with a budget of its own on
    speed and score.
    """
    whole = healthy()
    (suite,) = whole.suites
    reference, _, candidate = suite.recipes
    recipes, tables, verdicts = [reference], {"fp32": suite.summaries["fp32"]}, []
    for number in range(count - 1):
        name = f"backbone_{number:02}_int8"
        recipes.append(candidate.model_copy(update={"name": name}))
        speed = 0.5 + 0.01 * (number % 17)
        tables[name] = tuple(
            summary.model_copy(update={"value": summary.value * speed})
            if METRICS[summary.metric].unit is Unit.SECONDS
            else summary
            for summary in suite.summaries["int8"]
        )
        for metric in ("map", "latency_p50", "latency_p95", "peak_memory", "throughput"):
            limits = {
                "map": ("drop", -0.001 * (1 + number % 9), "difference"),
                "latency_p50": ("speedup", 0.9 - 0.01 * (number % 11), "ratio"),
            }
            kind, limit, scale = limits.get(metric, ("max", 1.0, "value"))
            one = verdict(name, metric, Status.PASS)
            (evidence,) = one.limits
            evidence = evidence.model_copy(update={"kind": kind, "limit": limit, "scale": scale})
            verdicts.append(one.model_copy(update={"limits": (evidence,)}))
    suite = suite.model_copy(
        update={"recipes": tuple(recipes), "summaries": tables, "verdicts": tuple(verdicts)}
    )
    return whole.model_copy(update={"suites": (suite,)})


def broken(text: str = "") -> SessionRecord:
    """One verdict of every kind, the best first, and a recipe whose worker died."""
    listed = tuple(
        verdict(name, metric, status, text)
        for name, metric, status in (
            ("fp32", "map", Status.PASS),
            ("fp32", "load_time", Status.SKIPPED),
            ("onnx", "peak_memory", Status.NO_BASELINE),
            ("onnx", "throughput", Status.INCONCLUSIVE),
            ("onnx", "latency_p95", Status.FAIL),
            ("int8", "latency_p50", Status.ERROR),
        )
    )
    return session(
        listed,
        text=text,
        failure=Failure(
            stage="build",
            problem="the worker ended by signal 9" + text,
            last_words="Loading\nMemoryError: no more" + text,
            next_step="give it more memory" + text,
        ),
    )


def every_status() -> SessionRecord:
    """`broken`, with a budget that the change could not touch, and that was broken before it, and
    with one whose target has no machine.
    """
    record = broken()
    (suite, *others) = record.suites
    day = {"session": "20261101-000000", "started": "2026-11-01T00:00:00"}
    origin = Earlier(**day, commit="c" * 40, status=Status.FAIL)
    without = {"value": None, "low": None, "high": None, "limits": ()}
    more = (
        verdict("int8", "map", Status.UNAFFECTED).model_copy(update={**without, "earlier": origin}),
        verdict("fp32", "load_time_cold", Status.NO_MACHINE).model_copy(update=without),
    )
    suite = suite.model_copy(update={"verdicts": (*suite.verdicts, *more)})
    return record.model_copy(update={"suites": (suite, *others)})

"""Where each metric of a baseline was measured, and what is suspected of it."""

import pytest
from pytest_perfgate.baselines import changes
from pytest_perfgate.baselines.baseline import Baseline, StoredMetric
from pytest_perfgate.baselines.store import Store, read_file
from pytest_perfgate.baselines.update import suspects_of
from pytest_perfgate.errors import BaselineError
from pytest_perfgate.records.recipe_record import ArtifactInfo, Link, RecipeRecord
from pytest_perfgate.records.recipe_spec import spec_digest
from pytest_perfgate.tasks.detection import METRICS
from pytest_perfgate.units import Unit

from tests.baselines.test_store import ALL, MACHINE, NOW, baseline, scaled


def of_session(day: int, base: Baseline) -> Baseline:
    """The baseline that a session of a day in November would write, of a commit and weights of its
    own.
    """
    own = {
        "recorded": f"2026-11-{day}T10:00:00+00:00",
        "commit": f"{day}" * 20,
        "model": f"m{day}",
        "artifact": f"a{day}",
        "spec": f"s{day}",
        "environment": base.environment.model_copy(update={"kernel": f"6.{day}"}),
    }
    return base.model_copy(update=own)


def test_each_metric_keeps_the_origin_that_it_was_measured_with(tmp_path):
    """A size that moves leaves the time its day, commit, weights and environment, through later
    moves too; a number that was measured to be the same again is of the new session, a score only
    with its evaluation.
    """
    store = Store(tmp_path)
    store.write(of_session(20, baseline()))

    def moved(day: int, base: Baseline) -> Baseline:
        new = {"int8": of_session(day, base)}
        stored = {"int8": store.read(MACHINE, "demo", "int8")}
        proposed = changes.propose(stored, new, ALL)
        changes.write(proposed, new=new, stored=stored, store=store, reason="why", now=NOW)
        return store.read(MACHINE, "demo", "int8")

    def origins(base: Baseline) -> dict[str, str]:
        return {name: base.origin_of(name).recorded[8:10] for name in base.metrics}

    other = baseline().accuracy.model_copy(update={"predictions_digest": "q"})
    with_score = baseline().metrics | {
        "map": StoredMetric(unit=METRICS["map"].unit, value=0.5),
        "artifact_size": StoredMetric(unit=Unit.BYTES, value=90),
    }
    assert "origins" not in store.path(MACHINE.id, "demo", "int8").read_text()
    first = moved(21, baseline(size=90))
    assert origins(first) == {"latency_p50": "20", "artifact_size": "21"}
    origin = first.origin_of("latency_p50")
    assert (origin.commit, origin.model, origin.artifact) == ("20" * 20, "m20", "a20")
    assert (origin.spec, origin.environment.kernel) == ("s20", "6.20")
    assert origin.age_days(NOW) > first.age_days(NOW) == first.latest.age_days(NOW)
    second = moved(22, baseline().model_copy(update={"metrics": with_score}))
    assert origins(second) == {"latency_p50": "20", "artifact_size": "22", "map": "22"}
    smaller = with_score | {"artifact_size": StoredMetric(unit=Unit.BYTES, value=80)}
    third = moved(23, baseline().model_copy(update={"metrics": smaller, "accuracy": other}))
    assert origins(third) == {"latency_p50": "20", "artifact_size": "23", "map": "22"}
    assert third.accuracy.predictions_digest == "p"
    last = moved(24, baseline(times=scaled(0.5), size=80))
    assert origins(last) == {"latency_p50": "24", "artifact_size": "24", "map": "22"}
    twice = last.model_copy(update={"origins": last.origins * 2})
    with pytest.raises(BaselineError, match="a metric has two origins"):
        read_file(store.write(twice))


def record(model: str, artifact: str, data: str = "d") -> RecipeRecord:
    """A recipe of a model and an artifact with these digests."""
    link = Link(step="model", options={}, effect={}, seconds=0, cached=True, key="", digest=model)
    return RecipeRecord(
        name="int8",
        reference="fp32",
        lineage=(link,),
        artifact=ArtifactInfo(kind="onnx", digest=artifact, size=1, files={}),
        accuracy=baseline().accuracy.model_copy(update={"data_digest": data}),
    )


def test_other_weights_and_other_data_are_told_from_their_digests() -> None:
    """The model's come before the artifact's, which follow from them; a baseline of before digests
    were stored says nothing.
    """
    same = record("m" * 64, "a" * 64)
    digests = {"model": "m" * 64, "artifact": "a" * 64, "spec": spec_digest(same)}
    old = baseline().model_copy(update=digests)
    here = old.environment
    assert suspects_of(old, same, here) == ()
    (weights,) = suspects_of(old, record("n" * 64, "b" * 64), here)
    assert "other weights" in weights
    assert "nnnnnnnnnnnn in place of mmmmmmmmmmmm" in weights
    (artifact,) = suspects_of(old, record("m" * 64, "b" * 64), here)
    assert "steps of int8 made another artifact" in artifact
    (data,) = suspects_of(old, record("m" * 64, "a" * 64, data="e"), here)
    assert "validation images or annotations" in data
    (spec,) = suspects_of(baseline(), same, here)
    assert "other steps, another runtime or other work" in spec


def test_times_of_other_weights_stay_suspects_where_only_the_size_was_renewed() -> None:
    """The line names the metrics and their day; the size is of these weights."""
    now = record("n" * 64, "b" * 64)
    spec = {"spec": spec_digest(now)}
    old = baseline().model_copy(update={"model": "m" * 64, "artifact": "a" * 64, **spec})
    new = baseline(size=50).model_copy(update={"model": "n" * 64, "artifact": "b" * 64, **spec})
    latency = old.latest.model_copy(update={"metrics": ("latency_p50",)})
    partly = new.model_copy(update={"origins": (latency,)})
    assert suspects_of(new, now, new.environment) == ()
    (weights,) = suspects_of(partly, now, new.environment)
    assert "the model has other weights than the baseline's: nnnnnnnnnnnn" in weights
    assert weights.endswith("(latency_p50 of int8, of 2026-11-20)")
    other = new.environment.model_copy(update={"kernel": "7"})
    partly = new.model_copy(update={"origins": (latency.model_copy(update=spec | {"model": ""}),)})
    assert suspects_of(partly, now, other)[0] == "kernel 6 -> 7"  # once, of all metrics

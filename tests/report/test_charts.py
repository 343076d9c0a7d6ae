"""Which pictures there are, what they show, and that what was not measured is said."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pytest_perfgate.machine.conditions import Conditions, DeviceConditions
from pytest_perfgate.records.launch import RateRun
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.session import BaseRecord, SuiteRecord
from pytest_perfgate.records.verdict import LimitResult, Status
from pytest_perfgate.report import (
    chart_list,
    charts_accuracy,
    charts_pareto,
    charts_rates,
    charts_session,
    charts_waterfall,
    drawing,
    profile_table,
    worst_images,
)
from pytest_perfgate.report.changes_since import since
from pytest_perfgate.report.page import render

from tests.report import sessions
from tests.report.sessions import MAP, METRICS


def healthy() -> SuiteRecord:
    """The suite of a healthy session."""
    return sessions.healthy().suites[0]


def changed(suite: SuiteRecord, name: str, **update: Any) -> SuiteRecord:
    """The suite with something else in one of its recipes."""
    recipes = tuple(
        recipe.model_copy(update=update) if recipe.name == name else recipe
        for recipe in suite.recipes
    )
    return suite.model_copy(update={"recipes": recipes})


def test_every_picture_that_there_is_data_for_is_drawn() -> None:
    """In their order; a chain of three gets its waterfall."""
    suite = changed(healthy(), "int8", parent="onnx")
    titles = [metric.title for metric in chart_list.pictures(suite, METRICS)]
    assert titles == [
        "map over latency",
        "Latency, every sample",
        "What each recipe of a chain changed",
        "Where the time goes",
        "Average precision by class",
        "Reliability of scores",
        "Memory over the session",
        "The machine over the session",
    ]
    assert chart_list.absent(suite) == []


def test_what_was_not_measured_is_absent_and_said() -> None:
    """No matches, no memory and no clock: three lines, and no empty picture."""
    suite = healthy()
    recipes = tuple(
        recipe.model_copy(
            update={
                "accuracy": recipe.accuracy.model_copy(update={"matches": None})
                if recipe.accuracy
                else None,
                "launches": tuple(
                    one.model_copy(update={"peak_memory": None}) for one in recipe.launches
                ),
            }
        )
        for recipe in suite.recipes
    )
    bare = suite.model_copy(update={"recipes": recipes, "conditions": ()})
    titles = [metric.title for metric in chart_list.pictures(bare, METRICS)]
    assert "Memory over the session" not in titles
    assert "Reliability of scores" not in titles
    assert "The machine over the session" not in titles
    assert len(chart_list.absent(bare)) == 3
    session = sessions.healthy().model_copy(update={"suites": (bare,)})
    assert "No chart of: the clock of the cores was not measured" in render(session, METRICS)


def test_latency_is_drawn_over_the_offered_rate() -> None:
    """Of each recipe that searched its highest rate, and of its base; runs that ended early have no
    latency.
    """
    suite = healthy()
    runs = [
        RateRun(rate=rate, p50=0.01, p99=p99, slow=2, requests=300)
        for rate, p99 in ((20.0, 0.03), (40.0, 0.2), (80.0, None))
    ]

    def searched(record: RecipeRecord) -> RecipeRecord:
        launch = record.launches[0].model_copy(update={"rates": tuple(runs)})
        return record.model_copy(update={"launches": (launch,)})

    assert charts_rates.latency_over_rate(suite) is None
    first, *others = suite.recipes
    changed_suite = suite.model_copy(
        update={
            "recipes": (searched(first), *others),
            "base": BaseRecord(ref="main", commit="c0ffee", recipes=(searched(first),)),
        }
    )
    drawn = charts_rates.latency_over_rate(changed_suite)
    assert drawn is not None
    points = [(row["recipe"], row["rate"], row["ms"]) for row in drawn["data"]["values"]]
    names = (first.name, f"{first.name}, base")
    assert points == [(name, *point) for name in names for point in ((20.0, 30.0), (40.0, 200.0))]
    assert "2 of 300 requests above the limit" in drawn["data"]["values"][0]["words"]
    titles = [one.title for one in chart_list.pictures(changed_suite, METRICS)]
    assert "Latency over the offered rate" in titles


def test_a_waterfall_goes_from_one_recipe_of_a_line_to_the_next() -> None:
    """Each bar starts where the one before ends."""
    spec = charts_waterfall.waterfall(changed(healthy(), "int8", parent="onnx"), MAP)
    assert spec is not None
    first, second, third = spec["data"]["values"]
    assert (first["from"], first["to"]) == (0.0, pytest.approx(30.0))
    assert (second["to"], second["from"]) == (pytest.approx(30.0), pytest.approx(12.0))
    assert (third["to"], third["from"]) == (pytest.approx(12.0), pytest.approx(7.5))
    assert {second["what"], third["what"]} == {"faster"}
    assert third["step"] == "int8: + quantize"
    assert "map -0.003" in third["text"]


def test_a_line_that_goes_in_a_circle_ends() -> None:
    """Records from elsewhere may claim anything."""
    suite = changed(changed(healthy(), "onnx", parent="int8"), "int8", parent="onnx")
    assert charts_waterfall.waterfall(suite, MAP) is None


def test_classes_are_coloured_by_what_they_lost_to_the_reference() -> None:
    """The value and the difference of every recipe and class."""
    spec = charts_accuracy.classes(healthy())
    assert spec is not None
    values = {(row["recipe"], row["class"]): row for row in spec["data"]["values"]}
    assert values["int8", "cat"]["moved"] == pytest.approx(-0.075)
    assert values["fp32", "cat"]["moved"] == 0
    assert values["onnx", "dog"]["text"] == "0.40"


def test_many_classes_leave_those_that_lost_most() -> None:
    """Forty classes do not fit; the worst ones are kept."""
    suite = healthy()
    scores = {f"class {number}": 0.5 for number in range(40)}
    for record in suite.recipes:
        assert record.accuracy
        ours = scores | ({"class 33": 0.1} if record.name == "int8" else {})
        accuracy = record.accuracy.model_copy(update={"per_category": ours})
        suite = changed(suite, record.name, accuracy=accuracy)
    spec = charts_accuracy.classes(suite)
    assert spec is not None
    shown = {row["class"] for row in spec["data"]["values"]}
    assert len(shown) == 24
    assert "class 33" in shown


def test_budget_lines_lie_where_the_budget_is() -> None:
    """Absolute limits at their value, a speed-up and a drop at what they make of the reference."""
    suite = healthy()

    def limit(kind: str, at: float, scale: str) -> LimitResult:
        return LimitResult(
            kind=kind, text=str(at), status=Status.PASS, limit=at, scale=scale, reason="x"
        )

    verdicts = (
        sessions.verdict("int8", "latency_p50", Status.PASS).model_copy(
            update={"limits": (limit("max", 0.025, "value"), limit("speedup", 0.5, "ratio"))}
        ),
        sessions.verdict("int8", "map", Status.PASS).model_copy(
            update={"limits": (limit("drop", -0.02, "difference"),)}
        ),
    )
    front = charts_pareto.pareto(suite.model_copy(update={"verdicts": verdicts}), MAP)
    assert front is not None
    times, scores = (front.spec["layer"][index]["data"]["values"] for index in (0, 1))
    assert sorted(time["ms"] for time in times) == [pytest.approx(15.0), pytest.approx(25.0)]
    assert [score["score"] for score in scores] == [pytest.approx(0.73)]
    assert "a int8 speedup 0.5; b int8 max 0.025; c int8 drop -0.02." in front.note


def test_the_worst_images_are_laid_out_with_what_was_lost() -> None:
    """Both sides over the ground truth; what is not found any more is drawn as missing."""
    result = {record.name: shown for record, shown in worst_images.worse(healthy())}
    assert "fp32" not in result  # it was not looked at
    (shown,) = result["int8"]
    assert shown.lost == ("dog: 0.80 → not found", "cat: 0.90 → 0.60")
    reference, recipe = shown.panels
    assert [box.kind for box in reference.boxes] == ["truth", "truth", "reference", "reference"]
    assert [box.kind for box in recipe.boxes] == ["truth", "truth", "missing", "recipe"]
    # Near the right edge a label ends where its box does; at the top it goes inside.
    cat, dog = reference.boxes[3], reference.boxes[2]
    assert (dog.anchor, cat.anchor) == ("end", "start")
    assert cat.label == "cat 0.90"
    assert cat.label_y > 10


def test_a_thumbnail_is_on_the_page_once() -> None:
    """However many recipes show it."""
    page = render(sessions.healthy(), METRICS)
    assert page.count("data:image/") == 1
    assert page.count('<use href="#im-1-7"/>') == 4  # two recipes, two pictures each


def test_profiles_lay_a_broken_recipe_beside_its_reference_first() -> None:
    """Those that break a budget on time are open and come first; bars tell the direction."""
    suite = sessions.broken().suites[0]
    (table,) = [table for table in profile_table.tables(suite) if table.broken]
    assert (table.recipe, table.other) == ("onnx", "the reference fp32")
    assert table.lines[0].name == "stem"
    assert table.lines[0].bar == -100  # it is faster
    assert profile_table.tables(suite)[0].broken


def test_the_top_says_what_moved_since_the_baselines() -> None:
    """The largest changes for the worse and for the better, and what else differs."""
    session = sessions.healthy()
    suite = session.suites[0]
    slower = tuple(
        summary.model_copy(update={"baseline": summary.value / 2})
        if summary.metric == "latency_p50"
        else summary
        for summary in suite.summaries["int8"]
    )
    summaries = {**suite.summaries, "int8": slower}
    moved = suite.model_copy(update={"summaries": summaries})
    result = since(session.model_copy(update={"suites": (moved,)}), METRICS)
    assert result.worse[0] == "digits int8 latency_p50 3.75 ms → 7.50 ms (+100.0 %)"
    assert result.what.startswith("the stored baselines")
    assert result.environment == ("onnxruntime 1.22.0 -> 1.23.0",)


def test_a_session_with_nothing_to_compare_with_says_so() -> None:
    """No baselines: no invented differences."""
    session = sessions.healthy()
    suite = session.suites[0]
    bare = suite.model_copy(
        update={
            "summaries": {
                name: sessions.summaries(1.0, reference=True, baseline=False)
                for name in suite.summaries
            },
            "suspects": (),
        }
    )
    result = since(session.model_copy(update={"suites": (bare,)}), METRICS)
    assert (result.what, result.worse, result.better) == ("", (), ())


def test_a_failed_recipe_has_no_pictures_of_its_own() -> None:
    """A suite of which nothing was measured has none, and the page is still whole."""
    suite = healthy().model_copy(
        update={"recipes": (RecipeRecord(name="x", reference="x"),), "summaries": {}}
    )
    suite = suite.model_copy(update={"conditions": ()})
    assert chart_list.pictures(suite, METRICS) == []
    assert chart_list.absent(suite) == []


def test_a_gpu_is_in_the_pictures_of_the_machine() -> None:
    """Clock, power, energy and temperature by launch, in units; what never changes is left out, and
    two GPUs are told apart.
    """
    suite = sessions.healthy().suites[0]
    devices = [
        DeviceConditions(
            name="A10",
            sm_clock_mean=1.5e9 + at * 1e7,
            energy=20.0 + at,
            temperature=60.0,
            others=at,
        )
        for at in range(3)
    ]
    launches = tuple(Conditions(index=at, devices=(device,)) for at, device in enumerate(devices))
    drawn = charts_session.machine(suite.model_copy(update={"conditions": launches}))
    assert drawn is not None
    reported = {row["panel"]: row["value"] for row in drawn["data"]["values"]}
    assert reported == {
        "GPU: sm clock mean, GHz": pytest.approx(1.52),
        "GPU: energy, J": 22.0,
        "GPU: processes of others": 2.0,
    }
    two = tuple(launch.model_copy(update={"devices": launch.devices * 2}) for launch in launches)
    drawn = charts_session.machine(suite.model_copy(update={"conditions": two}))
    assert drawn is not None
    panels = {row["panel"] for row in drawn["data"]["values"]}
    assert {"GPU 0: energy, J", "GPU 1: energy, J"} <= panels


@pytest.mark.parametrize("before", range(4))
def test_a_long_name_of_rare_characters_is_drawn(before: int) -> None:
    """It is cut to the width there is, wherever that falls."""
    name = "a" * before + "\N{TURTLE}" * 60
    drawn = drawing.svg(
        {
            "data": {"values": [{"recipe": name, "value": 1}]},
            "mark": "bar",
            "encoding": {
                "y": {"field": "recipe", "type": "nominal"},
                "x": {"field": "value", "type": "quantitative"},
            },
        }
    )
    assert drawn.count("\N{TURTLE}") + drawn.count("\N{WHITE SQUARE}") > 5


def with_gradient(title: str) -> str:
    """A picture whose legend is a gradient, which the renderer gives an id."""
    number = {"field": "value", "type": "quantitative"}
    return drawing.svg(
        {
            "data": {"values": [{"value": 1, "words": 'url(#gradient_0) id="gradient_0"'}]},
            "title": title,
            "mark": "point",
            "encoding": {"x": number, "color": number, **drawing.DESCRIBED},
        }
    )


def test_a_picture_is_the_same_however_many_were_drawn_before() -> None:
    """Its ids are its own: none depends on the process, or is another picture's."""
    first, second, other = with_gradient("one"), with_gradient("one"), with_gradient("two")
    assert first == second
    ids = [re.findall(r'<linearGradient[^>]* id="([^"]+)"', drawn) for drawn in (first, other)]
    assert [len(part) for part in ids] == [1, 1]
    assert ids[0] != ids[1]
    for (name,), drawn in zip(ids, (first, other), strict=True):
        assert f'fill="url(#{name})"' in drawn
        assert '<title>url(#gradient_0) id="gradient_0"</title>' in drawn


def test_scores_without_the_overlap_of_one_half_have_no_reliability() -> None:
    """A task of one's own may match at other overlaps alone."""
    suite = healthy()
    (record,) = (recipe for recipe in suite.recipes if recipe.name == "int8")
    assert record.accuracy is not None
    assert record.accuracy.matches is not None
    assert charts_accuracy.believed(record) is not None
    stricter = record.accuracy.matches.model_copy(update={"thresholds": (0.75,)})
    accuracy = record.accuracy.model_copy(update={"matches": stricter})
    assert charts_accuracy.believed(record.model_copy(update={"accuracy": accuracy})) is None


@pytest.mark.parametrize("runtime", [None, 7, "onnxruntime", {}])
def test_a_runtime_written_in_another_way_has_no_name(runtime: object) -> None:
    """The recipe as it was written comes from the session's file, which anybody may have edited."""
    record = healthy().recipes[0].model_copy(update={"spec": {"runtime": runtime}})
    assert record.runtime_name == ""

"""The page: the answer first, whole without scripts, and deaf to what hostile strings ask for."""

from __future__ import annotations

import functools
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_perfgate.records.session import SessionRecord
from pytest_perfgate.records.verdict import Status
from pytest_perfgate.report import charts, charts_pareto
from pytest_perfgate.report.answer import answer
from pytest_perfgate.report.page import render

from tests.report import sessions
from tests.report.drawn import broken_page, healthy_page
from tests.report.sessions import HOSTILE, MAP, METRICS


class Reader(HTMLParser):
    """Collects a page's structure (tags with their attributes' names) and its text."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.structure: list[tuple[str, tuple[str, ...]]] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes a tag."""
        self.structure.append((tag, tuple(name for name, _ in attrs)))
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        """Gathers the text."""
        self.text += data


def test_the_page_asks_for_nothing_from_the_network() -> None:
    """The policy forbids every load, and nothing on the page names something to load."""
    read = Reader(broken_page())
    policy = [value for tag, name, value in read.attributes if name == "content" and "src" in value]
    assert policy
    assert policy[0].startswith("default-src 'none'")
    for tag, name, value in read.attributes:
        if name in {"src", "href", "xlink:href", "action", "data", "poster", "srcset"}:
            assert value.startswith(("#", "data:image/")), (tag, name, value)
    assert not re.search(r"@import|url\((?!['\"]?(#|data:))", broken_page())
    assert len(broken_page()) < 3_000_000


def test_every_status_is_said_in_words_and_by_a_shape() -> None:
    """Colour never carries a verdict alone."""
    page = render(sessions.every_status(), METRICS)
    text = Reader(page).text
    for status in Status:
        assert f"1 {status.value}" in text
    head = page[page.index("<body>") : page.index("<main>")]
    shapes = re.findall(r'aria-hidden="true">(.)</span> \d', head)
    assert len(shapes) == len(list(Status))


def test_the_broken_comes_before_the_tables_and_the_worst_comes_first() -> None:
    """ERROR, FAIL and INCONCLUSIVE stand in this order above the first suite's table."""
    cards = [
        broken_page().index(f'<section class="card {status}"')
        for status in ("ERROR", "FAIL", "INCONCLUSIVE")
    ]
    assert cards == sorted(cards)
    assert max(cards) < broken_page().index("<table>")


def test_a_card_holds_the_evidence_and_the_next_command() -> None:
    """What was compared, its interval, the baseline's age, the last words and what to do."""
    text = Reader(broken_page()).text
    assert "regression 5%: +23.0 % (+21.0 % … +25.0 %) to its baseline of 2026-11-11" in text
    assert "12 days old" in text
    assert "MemoryError: no more" in text
    assert "pytest --perf -k onnx" in text


def test_tables_and_charts_can_be_read_by_machines() -> None:
    """Headers have a scope, charts a label, scrolling parts a tab stop and the page a language."""
    read = Reader(broken_page())
    for tag, names in read.structure:
        if tag == "th":
            assert "scope" in names
    assert ("html", ("lang",)) in read.structure
    images = [value for _, name, value in read.attributes if name == "role" and value == "img"]
    assert len(images) >= 3
    scrolling = re.findall(r'<div class="scroll"[^>]*>', broken_page())
    assert scrolling
    assert all('tabindex="0"' in tag and "aria-label" in tag for tag in scrolling)


def test_a_link_says_where_it_was_built() -> None:
    """On the page of a target, beside the time that it took."""
    text = Reader(broken_page()).text
    assert "from the cache, built in 1.5 s on builder-4c, and copied to the target" in text


def test_the_answer_names_what_is_broken() -> None:
    """The number of broken budgets, of how many, and the first one with its reason."""
    text = answer(sessions.broken())
    assert text.startswith("4 of 6 budgets were measured. 1 budget is broken of 6")
    assert "onnx latency_p95" in text
    assert "1 could not be measured" in text
    assert answer(sessions.healthy()) == "6 of 6 budgets were measured. All 6 budgets are kept."


@pytest.mark.parametrize("status", [s for s in Status if s not in {Status.PASS, Status.SKIPPED}])
def test_one_verdict_short_of_a_pass_is_never_all_kept(status: Status) -> None:
    """One ERROR, FAIL, INCONCLUSIVE or NO BASELINE among passes changes the answer."""
    verdicts = (
        sessions.verdict("fp32", "map", Status.PASS),
        sessions.verdict("onnx", "latency_p50", status),
    )
    assert "kept" not in answer(sessions.session(verdicts))


@pytest.mark.parametrize(
    ("status", "title"),
    [(Status.FAIL, "What is broken"), (Status.NO_MACHINE, "What was not measured")],
)
def test_what_was_not_measured_is_not_called_broken(status: Status, title: str) -> None:
    """The heading of the cards says what they are about."""
    page = render(sessions.session((sessions.verdict("int8", "map", status),)), METRICS)
    assert f"<h2>{title}</h2>" in page


def test_an_interrupted_session_says_so() -> None:
    """An incomplete session is not answered with a pass, even if all it judged passed."""
    text = answer(sessions.healthy().model_copy(update={"complete": False}))
    assert "interrupted" in text
    assert "kept" not in text


def test_a_session_without_a_verdict_is_no_pass() -> None:
    """Nothing judged is nothing proven."""
    assert "kept" not in answer(sessions.session())


def test_one_budget_is_spoken_of_as_one() -> None:
    """Kept, and not decided."""
    kept = sessions.verdict("fp32", "map", Status.PASS)
    open_ = sessions.verdict("fp32", "map", Status.INCONCLUSIVE)
    measured = "1 of 1 budget was measured. "
    assert answer(sessions.session((kept,))) == f"{measured}The budget is kept."
    undecided = f"{measured}The budget is not broken; 1 could not be decided."
    assert answer(sessions.session((open_,))) == undecided


def test_a_skipped_budget_is_not_counted_as_kept() -> None:
    """What did not apply on this machine was not shown to be kept."""
    verdicts = (
        sessions.verdict("fp32", "map", Status.PASS),
        sessions.verdict("fp32", "load_time", Status.SKIPPED),
    )
    assert "All 2" not in answer(sessions.session(verdicts))


def test_an_interrupted_session_still_names_what_is_broken() -> None:
    """A broken budget is the answer, also where the session ended early."""
    text = answer(sessions.broken().model_copy(update={"complete": False}))
    assert "latency_p95" in text


def test_a_session_with_nothing_in_it_renders() -> None:
    """A page without suites, and a suite without recipes, are pages."""
    empty = sessions.session().model_copy(update={"suites": ()})
    assert "<h1>" in render(empty, METRICS)
    bare = sessions.session().suites[0].model_copy(update={"recipes": (), "summaries": {}})
    assert "<h1>" in render(empty.model_copy(update={"suites": (bare,)}), METRICS)


def test_runtime_facts_without_a_spec_render() -> None:
    """A record whose spec is empty, as its default is, still has a page."""
    suite = sessions.healthy().suites[0]
    records = tuple(record.model_copy(update={"spec": {}}) for record in suite.recipes)
    changed = suite.model_copy(update={"recipes": records})
    assert "<h1>" in render(sessions.healthy().model_copy(update={"suites": (changed,)}), METRICS)


@functools.cache
def plain_structure() -> list[tuple[str, tuple[str, ...]]]:
    """The tags of the page when every user's word ends on a harmless one."""
    return structure(sessions.broken(" plain"))


def structure(session: SessionRecord) -> list[tuple[str, tuple[str, ...]]]:
    """The tags of the page, in order."""
    return Reader(render(session, METRICS)).structure


@pytest.mark.parametrize("text", HOSTILE)
def test_known_attacks_add_no_tag_and_no_attribute(text: str) -> None:
    """The page has the same tags and attributes whatever the strings of a session hold."""
    assert Reader(broken_page(text)).structure == plain_structure()


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    text=st.lists(
        st.one_of(st.sampled_from(list("<>\"'&/={}%`;!-")), st.sampled_from(HOSTILE[:6])),
        min_size=1,
        max_size=12,
    ).map("".join)
)
def test_no_markup_in_a_string_adds_a_tag(text: str) -> None:
    """Any mix of HTML's and the template's special characters leaves the structure as it is."""
    assert structure(sessions.broken(text)) == plain_structure()


def test_the_reader_of_these_tests_sees_an_attack() -> None:
    """The check itself can fail: an unescaped string changes the structure."""
    page = broken_page(HOSTILE[1])
    attacked = page.replace("&lt;img", "<img", 1)
    assert Reader(attacked).structure != Reader(page).structure


def test_a_control_character_in_a_label_does_not_end_the_process() -> None:
    """A label that XML cannot hold is drawn without it; the renderer would abort the process."""
    program = (
        "from tests.report import sessions\n"
        "from pytest_perfgate.report.page import render\n"
        "render(sessions.session(text='\\x1b[31m'), sessions.METRICS)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=False, timeout=120
    )
    assert done.returncode == 0


def test_the_front_joins_the_recipes_that_none_beats() -> None:
    """A recipe that is slower and no better is not on the front."""
    suite = sessions.healthy().suites[0]
    worse = {
        name: tuple(
            each.model_copy(update={"value": 0.9 if each.metric == "latency_p50" else 0.1})
            if name == "onnx" and each.metric in {"latency_p50", "map"}
            else each
            for each in listed
        )
        for name, listed in suite.summaries.items()
    }
    front = charts_pareto.pareto(suite.model_copy(update={"summaries": worse}), MAP)
    assert front is not None
    spec = front.spec
    assert [each["recipe"] for each in spec["layer"][2]["data"]["values"]] == ["int8", "fp32"]
    assert len(spec["layer"][3]["data"]["values"]) == 3


def test_two_equal_recipes_do_not_push_each_other_off_the_front() -> None:
    """A recipe is beaten only by one that is better in something."""
    suite = sessions.healthy().suites[0]
    same = dict.fromkeys(suite.summaries, suite.summaries["int8"])
    front = charts_pareto.pareto(suite.model_copy(update={"summaries": same}), MAP)
    assert front is not None
    assert front.spec["layer"][2]["data"]["values"]


def test_every_sample_is_drawn_and_every_launch_can_be_told_apart() -> None:
    """The distributions hold all samples, each with its launch, on one axis."""
    suite = sessions.healthy().suites[0]
    spec = charts.distributions(suite)
    assert spec is not None
    values = spec["layer"][0]["data"]["values"]
    assert len(values) == 3 * 3 * 40
    assert {each["launch"] for each in values} == {0, 1, 2}
    longest = max(max(one.latency) for one in suite.recipes[0].launches)
    assert max(each["ms"] for each in values) == pytest.approx(longest * 1e3, abs=1e-3)


def test_classes_have_a_table_with_differences_to_the_reference() -> None:
    """Recipe by class, hostile names escaped; a class without a value is an empty cell."""
    session = sessions.healthy()
    suite = session.suites[0]
    scores = {
        record.name: {"cat": 0.5, "<script>alert(1)</script>": 0.25} for record in suite.recipes
    }
    other = next(record for record in suite.recipes if record.reference != record.name)
    scores[other.name] = {"cat": 0.375}
    recipes = tuple(
        record.model_copy(
            update={
                "accuracy": record.accuracy.model_copy(update={"per_category": scores[record.name]})
            }
        )
        for record in suite.recipes
        if record.accuracy
    )
    suites = (suite.model_copy(update={"recipes": recipes}), *session.suites[1:])
    page = render(session.model_copy(update={"suites": suites}), METRICS)
    table = page[page.index("<summary>Average precision by class") :]
    table = table[: table.index("</details>")]
    assert "0.3750" in table
    assert "-0.1250" in table
    assert "<td></td>" in table
    assert "<script" not in table


def test_one_cause_is_one_card() -> None:
    """All budgets of a recipe that could not be measured have one card, which counts them."""
    session = sessions.broken("no such file")
    suite = session.suites[0]
    errors = [verdict for verdict in suite.verdicts if verdict.status is Status.ERROR]
    more = tuple(errors[0].model_copy(update={"metric": name}) for name in ("a", "b", "c"))
    several = suite.model_copy(update={"verdicts": (*suite.verdicts, *more)})
    before = render(session, METRICS)
    after = render(session.model_copy(update={"suites": (several,)}), METRICS)
    assert after.count('<section class="card ERROR">') == before.count(
        '<section class="card ERROR">'
    )
    assert "more budgets of this recipe" in after


def test_launches_that_are_too_few_are_one_card() -> None:
    """All budgets of a suite that wait for the same number of launches; one that has enough of them
    has a card of its own.
    """
    few = sessions.verdict("int8", "latency_p50", Status.INCONCLUSIVE)
    (limit,) = few.limits
    verdicts = [
        few.model_copy(
            update={
                "metric": metric,
                "next_step": "at least 4 launches",
                "limits": (limit.model_copy(update={"sample": sample}),),
            }
        )
        for metric, sample in (("latency_p50", 2), ("latency_p95", 2), ("peak_memory", 9))
    ]
    page = render(sessions.session(tuple(verdicts)), METRICS)
    assert page.count('<section class="card INCONCLUSIVE">') == 2
    assert "int8 latency_p50 and 1 more budget of this suite" in page
    assert "int8 peak_memory</h3>" in page


def test_a_recipe_is_laid_beside_the_one_that_it_continues() -> None:
    """What its own steps did to every metric, in the words of the table."""
    text = " ".join(Reader(healthy_page()).text.split())
    moved = re.findall(r"compared with fp32, its parent: (.*?)(?:runtime|artifact)", text)
    assert len(moved) == 2  # onnx and int8; the reference continues nothing
    assert "latency_p50 2.50x as fast" in moved[0]
    assert "latency_p50 4.00x as fast" in moved[1]
    assert "map -0.0150" in moved[1]


@pytest.mark.parametrize(
    ("status", "count"),
    [
        (status, 1 + (status not in {Status.ERROR, Status.NO_MACHINE, Status.SKIPPED}))
        for status in Status
        if status is not Status.UNAFFECTED  # says more (tests/plugin/test_affected.py)
    ],
)
def test_the_answer_begins_with_how_much_was_measured(status: Status, count: int) -> None:
    """A budget that was skipped or failed to be measured is in the total, and not in the count."""
    verdicts = (
        sessions.verdict("fp32", "map", Status.PASS),
        sessions.verdict("onnx", "latency_p50", status),
    )
    text = answer(sessions.session(verdicts))
    assert text.startswith(f"{count} of 2 budgets were measured. ")

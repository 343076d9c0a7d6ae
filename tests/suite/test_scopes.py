"""Sets, slices and shifts of a suite file, and budgets that name them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.suite.texts import FP32, SUITE, problem, read

SETS = SUITE + '[suite.data.sets]\nnight = "demo.data:night"\nday = "demo.data:day"\n'
SLICES = SETS + '[suite.slices]\ncamera = { by = "camera", on = "night" }\n'
CANDIDATE = '[[recipe]]\nname = "fast"\nfrom = "fp32"\n'


def budgets(root: Path, *lines: str, head: str = SLICES) -> tuple[str, ...]:
    """The metrics of the budgets of a candidate."""
    text = "\n".join((f"{head}{FP32}{CANDIDATE}[recipe.budgets]", *lines, ""))
    result = read(root, text)
    assert result.suite is not None
    assert not result.problems, str(result.problems)
    return tuple(budget.metric for budget in result.suite.recipes["fast"].budgets)


def refused(root: Path, line: str, head: str = SLICES) -> str:
    """The problem of a candidate with one budget."""
    return problem(read(root, f"{head}{FP32}{CANDIDATE}[recipe.budgets]\n{line}\n"), "fast")


def test_a_budget_names_the_images_of_its_score(tmp_path: Path) -> None:
    """By its key or by `on`: a set, all sets, the worst one, slices; and more than one of these."""
    assert budgets(
        tmp_path,
        "map = { drop = 0.01 }",
        '"map@night" = { min = 0.5, per_class = { drop = 0.1 } }',
        'map50 = { drop = 0.01, on = "all" }',
        'map75 = { drop = 0.01, on = "worst" }',
        'agreement = { min = 0.9, on = "camera" }',
        '"map@camera" = { drop = 0.1, regression = 0.1 }',
        '"ece@camera" = { drop = 0.1, max = 0.2 }',
        '"ece@night" = { regression = 0.1 }',
        'score_shift = { max = 0.1, on = "validation" }',
    ) == (
        "map",
        "map@night",
        "map50@all",
        "map75@worst",
        "agreement@camera",
        "map@camera",
        "ece@camera",
        "ece@night",
        "score_shift",
    )


def test_a_suite_has_its_sets_apart_from_its_splits(tmp_path: Path) -> None:
    """Steps learn from splits; scores exist on each set, and on slices where images tell them."""
    suite = read(tmp_path, SLICES + FP32).suite
    assert suite is not None
    assert suite.sets == ("night", "day")
    assert suite.data["sets.night"] == "demo.data:night"
    assert [scope.name for scope in suite.scopes] == ["night", "day", "all", "worst", "camera"]
    assert suite.slices["camera"].sliced == "night"
    plain = read(tmp_path, SUITE + FP32).suite
    assert plain is not None
    assert plain.scopes == ()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('map = { drop = 0.01, on = "nightt" }', ("no set and no slicing 'nightt'", "'night'?")),
        ('"map@nightt" = { drop = 0.01 }', ("no set and no slicing 'nightt'", "'night'?")),
        ('"map@night" = { drop = 0.01, on = "day" }', ("is on 'night' and on 'day'",)),
        ('latency_p50 = { max = "1 s", on = "night" }', ("latency_p50 is no score", "valid: map")),
        ('map_small = { drop = 0.01, on = "camera" }', ("known of all images together", "map50")),
        (
            '"ece@camera" = { regression = 0.01 }',
            ("baselines do not store it by slice", "valid: max, drop"),
        ),
        (
            'map = { drop = 0.01, on = "night" }\n"map@night" = { min = 0.1 }',
            ("two budgets are on map@night",),
        ),
        ('map = { per_class = { drop = 0.1 }, on = "all" }', ("per_class.drop does not fit",)),
    ],
)
def test_a_budget_on_no_set_is_refused(tmp_path: Path, line: str, said: tuple[str, ...]) -> None:
    """One message: the recipe and key, the value, and what is valid."""
    words = refused(tmp_path, line)
    assert words.startswith("suites/demo/recipes.toml: recipe 'fast': budgets.")
    for word in said:
        assert word in words


def test_without_sets_a_budget_says_where_they_are_named(tmp_path: Path) -> None:
    """The next step is the table to write."""
    words = refused(tmp_path, 'map = { drop = 0.01, on = "night" }', head=SUITE)
    assert "next:  name sets in [suite.data.sets], slices in [suite.slices]" in words


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ('[suite.data.sets]\n"a b" = "x.y:z"\n', ("suite.data.sets.a b", "cannot be the name")),
        ('[suite.data.sets]\nworst = "x.y:z"\n', ("cannot be the name of a set", "none of train")),
        ('[suite.data.sets]\nn = "x.y"\n', ("suite.data.sets.n", "not an import path")),
        ("[suite.data.sets]\nn = 3\n", ("suite.data.sets.n", "the set is 3")),
        ('[suite.data.sets]\nn = "x.y:z"\nn = "x.y:q"\n', ("not TOML", "line 8")),
        ('[suite.data.sets]\nn = "x.y:z"\nm = "x.y:z"\n', ("same data as suite.data.sets.n",)),
        (
            '[suite.data.sets]\nn = "demo.data:validation"\n',
            ("same data as suite.data.validation",),
        ),
        ("[suite.data.sets]\n", ("sets is {}", "a table of sets by name")),
        ('[suite.slices]\nnight = { by = "x" }\n', ("'night' is a set already",)),
        ('[suite.slices]\nc = { by = "x", on = "nightt" }\n', ("suite.slices.c.on", "'night'?")),
        ('[suite.slices]\nc = { by = "x", edges = [3, 1] }\n', ("they do not rise",)),
        ('[suite.slices]\nc = { by = "x", file = "none.csv" }\n', ("none.csv cannot be read",)),
        ('[suite.slices]\nc = { by = "cam", file = "c.csv" }\n', ("no column 'cam'", "'camera'?")),
        ('[suite.slices]\nc = { on = "night" }\n', ("suite.slices.c.by", "missing")),
        ('[suite.shift]\ntarget = "nightt"\n', ("suite.shift.target", "'night'?")),
        ('[suite.shift]\nsource = "day"\ntarget = "day"\n', ("both 'day'", "validation, night")),
    ],
)
def test_a_bad_set_or_slice_fails_the_suite(
    tmp_path: Path, tables: str, said: tuple[str, ...]
) -> None:
    """One message when the suite is read: the key, the value, and what is valid."""
    (tmp_path / "suites" / "demo").mkdir(parents=True)
    (tmp_path / "suites" / "demo" / "c.csv").write_text("file_name,camera\n1.png,7\n")
    head = SUITE if "data.sets" in tables else SETS
    result = read(tmp_path, head + tables + FP32)
    assert result.suite is None
    (error,) = result.suite_problems
    for word in said:
        assert word in str(error)


def test_frames_of_sequences_are_sets_but_no_slices(tmp_path: Path) -> None:
    """The message names the task and the other way."""
    text = SETS.replace('"detection"', '"tracking"') + FP32
    assert read(tmp_path, text).suite is not None
    result = read(tmp_path, text.replace(FP32, '[suite.slices]\nc = { by = "x" }\n' + FP32))
    assert "frames of sequences, which are not sliced" in str(result.suite_problems[0])


def test_no_step_learns_from_a_set(tmp_path: Path) -> None:
    """A step names splits; a set is data that recipes are judged on."""
    steps = 'steps = [{ finetune = 1, data = "sets.night" }]\n'
    words = problem(read(tmp_path, SETS + FP32 + CANDIDATE + steps), "fast")
    assert "not a split or a function of training data" in words


ADAPTED = (
    CANDIDATE + 'runtime = "onnxruntime"\nsteps = [{ export = "onnx" }, { quantize = "static" }]\n'
)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("map = { drop = 0.01 }\n", "no budget is on a score of the target 'night'"),
        ('"map@night" = { drop = 0.01 }\n', "no budget is on a score of the source 'validation'"),
        ('map = { drop = 0.01, on = "all" }\n', ""),
        ('map = { drop = 0.01 }\n"map@night" = { min = 0.5 }\n', ""),
        (
            'robustness = { drop = 0.01 }\n"map@night" = { drop = 0.01 }\n',
            "no budget is on a score of the source 'validation'",
        ),
        (
            '"map@fog" = { drop = 0.01 }\n"map@night" = { drop = 0.01 }\n',
            "no budget is on a score of the source 'validation'",
        ),
        ("robustness = { drop = 0.01 }\n", "add map = { drop = 0.01, on = "),
        ("artifact_size = { max = '1 MB' }\n", ""),
    ],
)
def test_a_recipe_that_adapts_is_judged_on_source_and_target(
    tmp_path: Path, lines: str, said: str
) -> None:
    """Of a suite with a shift, and by scores of clean images; a recipe that learns from no data is
    free.
    """
    head = SETS.replace("[suite.data]", '[suite.data]\ncalibration = "demo.data:calibration"')
    head += '[suite.corruptions]\nnames = ["fog"]\n[suite.shift]\ntarget = "night"\n'
    result = read(tmp_path, f"{head}{FP32}{ADAPTED}[recipe.budgets]\n{lines}")
    if not said:
        assert not result.problems
        return
    words = problem(result, "fast")
    assert said in words
    assert "it adapts by quantize" in words
    free = f"{head}{FP32}{CANDIDATE}[recipe.budgets]\nmap = {{ drop = 0.01 }}\n"
    assert not read(tmp_path, free).problems


def test_a_set_and_a_corruption_share_no_name(tmp_path: Path) -> None:
    """`map@fog` is the score under fog: it may be named by `on` as well, and corrupted images are
    those of validation alone.
    """
    result = read(tmp_path, SUITE + '[suite.data.sets]\nfog = "demo.data:fog"\n' + FP32)
    assert "'fog' is a corruption" in str(result.suite_problems[0])
    head = SLICES + '[suite.corruptions]\nnames = ["fog"]\n'
    assert budgets(tmp_path, 'map = { min = 0.1, on = "fog" }', head=head) == ("map@fog",)
    words = refused(tmp_path, 'robustness = { drop = 0.01, on = "night" }', head)
    assert "robustness is of corrupted validation images" in words
    assert "'fog'?" in refused(tmp_path, 'map = { min = 0.1, on = "fgo" }', head)

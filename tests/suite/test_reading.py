"""What a suite file may say, and what is said when it says something else."""

import tomllib
from pathlib import Path

import pytest
from pytest_perfgate.suite import reading
from pytest_perfgate.suite.json_schema import suite_schema

from tests.sources.graphs import IMAGES
from tests.suite.texts import FP32, ONNX, SUITE, budget, problem, read

REQUIRE = SUITE.replace("[suite]", '[suite]\nrequire = ["gpu", "WORD"]') + FP32


def test_the_demo_suite_is_read_without_a_problem():
    """The suite that the project ships is read whole."""
    root = Path(__file__).parents[2]
    result = reading.read(root / "suites" / "digits" / "recipes.toml", root)
    assert (result.suite_problems, dict(result.problems)) == ((), {})
    assert result.suite is not None
    int8 = result.suite.recipes["int8"]
    assert [step.name for step in int8.chain] == ["export", "quantize"]
    assert (int8.reference, int8.own_steps, int8.runtime.name) == ("fp32", 1, "onnxruntime")


def test_a_malformed_file_names_line_and_column(tmp_path):
    """What is not TOML is placed by line and column."""
    result = read(tmp_path, SUITE + "name = \n")
    assert result.suite is None
    assert "suites/demo/recipes.toml" in str(result.suite_problems[0])
    assert "line 6, column" in str(result.suite_problems[0])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no [suite] table"),
        (SUITE.replace("detection", "detecton") + FP32, "did you mean 'detection'?"),
        (SUITE.replace('model = "demo.model:build"\n', "") + FP32, "'model' is missing"),
        (SUITE.replace("task", "tsk") + FP32, "suite"),
        (SUITE.replace("model =", 'modle = "x"\nmodel =') + FP32, "did you mean 'model'?"),
        (SUITE.replace("validation =", "validaton =") + FP32, "did you mean 'validation'?"),
        (SUITE.replace("validation =", "train =") + FP32, "no validation data"),
        (SUITE.replace("demo.model:build", "demo/model.py") + FP32, "not an import path"),
        (SUITE.replace("demo.data:validation", "demo/data.py") + FP32, "not an import path"),
        (SUITE.replace("[suite]", '[suite]\nname = "../x"') + FP32, "cannot be a suite's name"),
        (SUITE.replace("demo.model:build", "none.onnx") + FP32, "does not exist"),
        (SUITE.replace("demo.model:build", "../../../x.onnx") + FP32, "leaves the project"),
        (SUITE.replace("demo.model:build", "/etc/x.onnx") + FP32, "leaves the project"),
        (SUITE + FP32 + "[suite.input]\nsiez = 3\n", "did you mean 'size'?"),
        (SUITE + FP32 + '[suite.output]\ndecode = "boxes_score"\n', "'boxes_scores'?"),
        (SUITE, "there is no recipe"),
        (REQUIRE.replace("WORD", "avx512_vnii"), "suite.require[1]: 'avx512_vnii' is no runtime"),
        (REQUIRE.replace("WORD", "avx512_vnii"), "did you mean 'avx512_vnni'?"),
        (REQUIRE.replace("WORD", "another_suite"), "nor 'gpu' or this suite"),
        (
            SUITE.replace("[suite]", '[suite]\nuntracked = "no"') + FP32,
            "'working-tree' or 'forbid'",
        ),
        (SUITE + FP32 + "[recpie]\n", "'recpie' is not a key"),
    ],
)
def test_a_problem_of_the_whole_suite_is_named(tmp_path, text, said):
    """A suite that cannot be used says what is wrong and gives no recipes."""
    result = read(tmp_path, text)
    assert result.suite is None
    assert said in str(result.suite_problems[0])


@pytest.mark.parametrize("word", ["tensorrt", "prune", "loader", "avx512_vnni", "sve2", "demo"])
def test_a_suite_requires_what_can_be_measured(tmp_path, word):
    """Runtimes, steps, workloads, features of any CPU, not of this one alone, and itself."""
    result = read(tmp_path, REQUIRE.replace("WORD", word))
    assert result.suite is not None
    assert result.suite.require == ("gpu", word)


def test_a_path_leaves_the_project_where_the_suite_allows_it(tmp_path):
    """A link is followed wherever it leads. A path out of the project needs a key in the suite, and
    the error without it names that key.
    """
    (tmp_path / "out.onnx").write_bytes(IMAGES)
    root = tmp_path / "root"
    (root / "suites" / "demo").mkdir(parents=True)
    (root / "suites" / "demo" / "m.onnx").symlink_to(tmp_path / "out.onnx")
    recipe = FP32.replace('"torch"', '"onnxruntime"')
    assert not read(root, SUITE.replace("demo.model:build", "m.onnx") + recipe).problems
    outside = SUITE.replace("demo.model:build", "../../../out.onnx")
    result = read(root, outside + recipe)
    assert "leaves the project" in str(result.suite_problems[0])
    assert "allow_outside = true" in result.suite_problems[0].next_step
    allowed = outside.replace("[suite]", "[suite]\nallow_outside = true") + recipe
    assert read(root, allowed).suite is not None
    mounted = SUITE.replace("[suite]", f'[suite]\nmounts = {{ models = "{tmp_path}" }}')
    mounted = mounted.replace("demo.model:build", "mount://models/out.onnx") + recipe
    assert read(root, mounted).suite is not None
    for wrong, said in [
        (mounted.replace("mount://models", "mount://modles"), "did you mean 'models'?"),
        (mounted.replace("/out.onnx", "/../out.onnx"), "leaves its mount"),
        (mounted.replace("/out.onnx", "/none.onnx"), f"put it at {tmp_path}/none.onnx"),
        (mounted.replace(f'"{tmp_path}"', '"models"'), "an absolute path"),
        (
            mounted.replace(
                '"demo.data:validation"', '{ images = "mount://pictures/val", annotations = "a" }'
            ),
            "suites/demo/recipes.toml: suite.data.validation.images",
        ),
    ]:
        assert said in str(read(root, wrong).suite_problems[0])


def test_a_model_in_onnx_starts_the_chain_as_onnx(tmp_path):
    """An ONNX model needs no export, and is not taken by the torch runtime."""
    (tmp_path / "suites" / "demo").mkdir(parents=True)
    (tmp_path / "suites" / "demo" / "m.onnx").write_bytes(IMAGES)
    text = SUITE.replace("demo.model:build", "m.onnx")
    assert not read(tmp_path, text + FP32.replace('"torch"', '"onnxruntime"')).problems
    assert "takes exported or torch" in problem(read(tmp_path, text + FP32), "fp32")


def test_a_model_of_other_inputs_than_declared_is_a_problem_of_the_suite(tmp_path):
    """The key, the declared value and the file's, before any work; what the file says itself needs
    no key.
    """
    (tmp_path / "suites" / "demo").mkdir(parents=True)
    file = tmp_path / "suites" / "demo" / "m.onnx"
    text = SUITE.replace("demo.model:build", "m.onnx")
    recipe = FP32.replace('"torch"', '"onnxruntime"')
    file.write_bytes(IMAGES.replace(b"\x08\x01", b"\x08\x02"))
    result = read(tmp_path, text + recipe)
    assert not result.problems
    assert result.suite is not None
    assert result.suite.input["dtype"] == "uint8"
    (error,) = read(tmp_path, text + '[suite.input]\ndtype = "float32"\n' + recipe).suite_problems
    assert error.where == "suites/demo/recipes.toml: suite.input.dtype"
    assert "'float32' is declared, and the file takes x uint8" in error.problem
    (error,) = read(tmp_path, text + "[suite.input]\nmean = [1, 1, 1]\n" + recipe).suite_problems
    assert error.where == "suites/demo/recipes.toml: suite.input.mean"
    file.write_bytes(IMAGES.replace(b"\x08\x01", b"\x08\x07"))
    (error,) = read(tmp_path, text + recipe).suite_problems
    assert "takes x int64" in error.problem


@pytest.mark.parametrize("name", ["../up", "<script>", "", "a/b", ".hidden", "x" * 65, "a b"])
def test_a_name_that_cannot_be_a_file_is_refused(tmp_path, name):
    """A recipe's name can neither leave a folder nor carry markup."""
    text = SUITE + FP32 + f'[[recipe]]\nname = "{name}"\nruntime = "torch"\n'
    result = read(tmp_path, text)
    assert "cannot be a recipe's name" in problem(result, name)
    assert "fp32" in result.suite.recipes


@pytest.mark.parametrize(
    ("recipe", "name", "said"),
    [
        ('[[recipe]]\nname = "x"\nfrom = "fp23"\n', "x", "did you mean 'fp32'?"),
        ('[[recipe]]\nname = "x"\n', "x", "no runtime"),
        ('[[recipe]]\nname = "x"\nruntime = "onxruntime"\n', "x", "'onnxruntime'?"),
        ('[[recipe]]\nname = "x"\nruntime = "onnxruntime"\n', "x", "ends on torch"),
        ('[[recipe]]\nname = "x"\nfrm = "fp32"\n', "x", "did you mean 'from'?"),
        (
            '[[recipe]]\nname = "x"\nfrom = "fp32"\nsteps = [{ quantise = "static" }]\n',
            "x",
            "did you mean 'quantize'?",
        ),
        (
            '[[recipe]]\nname = "x"\nfrom = "onnx"\nsteps = [{ prune = "structured" }]\n',
            "x",
            "takes torch, but the chain before it gives onnx",
        ),
        (
            '[[recipe]]\nname = "x"\nfrom = "onnx"\nsteps = [{ quantize = "static" }]\n',
            "x",
            "needs calibration data",
        ),
        (
            '[[recipe]]\nname = "x"\nfrom = "fp32"\n'
            'steps = [{ prune = "structured", pruning_ratoi = 0.5 }]\n',
            "x",
            "did you mean 'pruning_ratio'?",
        ),
        (
            '[[recipe]]\nname = "x"\nfrom = "fp32"\n'
            'steps = [{ prune = "structured", pruning_ratio = 1.5 }]\n',
            "x",
            "steps[0]: pruning_ratio",
        ),
        ('[[recipe]]\nname = "x"\nfrom = "fp32"\nsteps = [{}]\n', "x", "the step is empty"),
        ('[[recipe]]\nname = "x"\nfrom = "fp32"\nruntime = { threads = 1 }\n', "x", "no name"),
    ],
)
def test_a_broken_recipe_is_named_and_takes_no_other_with_it(tmp_path, recipe, name, said):
    """One recipe's problem is its own."""
    result = read(tmp_path, SUITE + FP32 + ONNX + recipe)
    assert said in problem(result, name)
    assert set(result.suite.recipes) == {"fp32", "onnx"}


def test_a_step_that_trains_asks_for_a_trainer(tmp_path):
    """A training step with train data and no trainer is refused."""
    text = SUITE + 'train = "demo.data:train"\n' + FP32
    text += '[[recipe]]\nname = "x"\nfrom = "fp32"\nsteps = [{ finetune = 3 }]\n'
    assert "needs a trainer" in problem(read(tmp_path, text), "x")


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (
            '{ finetune = 3, data = "validation" }',
            "'validation': not a split or a function of training data",
        ),
        ('{ finetune = 3, data = "../night" }', 'valid: train, calibration, "package.module:'),
        ('{ finetune = 3, data = "calibration" }', "needs calibration data"),
        ('{ distil = "small.pt", steps = 3 }', "student: 'small.pt': it is not an import path"),
        ('{ distil = "demo.model:small", steps = 3, alpha = 0 }', "nothing is distilled"),
        ('{ pt2e = "qat", samples = 3 }', "samples is not an option of 'qat'"),
        ('{ pt2e = "static", steps = 3 }', "steps is not an option of 'static'"),
        ('{ pt2e = "static" }', "needs calibration data"),
        (
            '{ qat = 3 }, { quantize = "weight_only" }',
            "no sense after 'qat': its operators are 8-b",
        ),
        ("{ qat = 3, activation_symmetric = true }", "needs activations = 'int8'"),
        ("{ qat = 3, activation = 'int8' }", "activations"),
    ],
)
def test_what_trains_names_its_data_and_code_as_the_suite_does(tmp_path, step, said):
    """Splits to learn from and import paths, checked when the suite is read."""
    text = SUITE.replace("[suite.data]", 'trainer = "demo.t:fit"\n[suite.data]')
    text += 'train = "demo.data:train"\n' + FP32
    text += f'[[recipe]]\nname = "x"\nfrom = "fp32"\nsteps = [{step}]\n'
    assert said in problem(read(tmp_path, text), "x")


def test_data_of_an_import_path_is_taken(tmp_path):
    """Another domain's images need no split of the suite; qat alone needs the trainer."""
    text = SUITE.replace("[suite.data]", 'trainer = "demo.t:fit"\n[suite.data]') + FP32
    text += (
        '[[recipe]]\nname = "x"\nfrom = "fp32"\nsteps = [{ finetune = 3, data = "night:all" }]\n'
    )
    assert "x" in read(tmp_path, text).suite.recipes
    text = SUITE + 'train = "demo.data:train"\ncalibration = "demo.data:calibration"\n' + FP32
    for method in ("static", "qat"):
        text += f'[[recipe]]\nname = "{method}"\nfrom = "fp32"\nsteps = [{{ pt2e = "{method}" }}]\n'
    result = read(tmp_path, text)
    assert "static" in result.suite.recipes
    assert "needs a trainer" in problem(result, "qat")


def test_two_recipes_of_one_name_both_fail_with_what_is_derived(tmp_path):
    """Of two recipes of a name neither is taken."""
    result = read(tmp_path, SUITE + FP32 + FP32 + ONNX)
    assert "two recipes named 'fp32'" in problem(result, "fp32")
    assert "derived from 'fp32', which has errors" in problem(result, "onnx")


def test_a_circle_is_named(tmp_path):
    """Recipes that are derived from each other fail, and the circle is written out."""
    text = SUITE + FP32 + '[[recipe]]\nname = "a"\nfrom = "b"\n[[recipe]]\nname = "b"\nfrom = "a"\n'
    result = read(tmp_path, text)
    assert "a -> b -> a" in problem(result, "a")
    assert "b" in result.problems
    assert set(result.suite.recipes) == {"fp32"}


def test_what_is_derived_from_a_broken_recipe_fails_wherever_it_stands(tmp_path):
    """A recipe above its broken parent in the file fails like one below it."""
    broken = FP32 + "[recipe.budgets]\nlatnecy_p95 = { max = '1 s' }\n"
    below = read(tmp_path, SUITE + broken + ONNX)
    assert "which has errors" in problem(below, "onnx")
    above = read(tmp_path, SUITE + ONNX + broken)
    assert "which has errors" in problem(above, "onnx")


def test_a_wrong_type_is_placed_at_the_key_as_written(tmp_path):
    """The place ends with the user's key, not with a type's name."""
    text = budget(tmp_path, "latency_p95 = { max = [1] }")
    assert text.split(": ")[2] == "budgets.latency_p95.max"


def test_an_option_is_not_given_twice(tmp_path):
    """The step's key and the option that it sets cannot contradict each other."""
    text = SUITE + 'train = "demo.data:train"\n' + FP32
    text = text.replace("[suite.data]", 'trainer = "demo.t:fit"\n[suite.data]')
    text += '[[recipe]]\nname = "x"\nfrom = "fp32"\nsteps = [{ finetune = 160, steps = 1 }]\n'
    problem(read(tmp_path, text), "x")


def test_the_schema_takes_the_demo_and_refuses_typos():
    """Editors are told the same as the reader says."""
    jsonschema = pytest.importorskip("jsonschema")
    file = Path(__file__).parents[2] / "suites" / "digits" / "recipes.toml"
    data = tomllib.loads(file.read_text(encoding="utf-8"))
    checker = jsonschema.Draft202012Validator(suite_schema())
    assert not list(checker.iter_errors(data))
    for path, key in [
        (("suite",), "modle"),
        (("recipe", 0), "frm"),
        (("recipe", 0, "budgets"), "latnecy_p95"),
        (("recipe", 0, "budgets", "map"), "max"),
        (("recipe", 2, "steps", 0), "opset"),
    ]:
        wrong = tomllib.loads(file.read_text(encoding="utf-8"))
        place = wrong
        for part in path:
            place = place[part]
        place[key] = 1
        assert list(checker.iter_errors(wrong)), f"{path} took {key}"


def test_a_runtime_that_takes_another_kind_is_told_the_step(tmp_path):
    """What is advised is a step that is installed and leads there."""
    said = problem(
        read(tmp_path, SUITE + FP32 + '[[recipe]]\nname = "x"\nruntime = "onnxruntime"\n'), "x"
    )
    assert 'add { export = "onnx" } to the steps' in said


RTDETR = """
[suite.input]
size = [640, 640]
{keys}
[suite.input.others]
orig_target_sizes = {{ rule = "{rule}", order = "wh" }}
[suite.output]
decode = "rtdetr"
{options}
"""
OF_NETWORK = 'options = { units = "network" }'


@pytest.mark.parametrize(
    ("keys", "rule", "options", "said"),
    [
        ('resize = "letterbox"', "original_size", "", 'resize = "stretch" without crop'),
        ("crop = 600", "original_size", "", "stretch with padding or a crop"),
        ("multiple = 37", "original_size", "", "shows something else"),
        ("", "network_size", "", "reads boxes as pixels of the picture"),
        ("", "original_size", OF_NETWORK, "units = 'network' reads boxes otherwise"),
        ("", "original_size", "", ""),
        ('resize = "letterbox"', "network_size", OF_NETWORK, ""),
    ],
)
def test_a_decoder_that_scales_by_a_size_is_compared_with_the_input(
    tmp_path, keys, rule, options, said
):
    """Padding is no part of the picture whose size the network is given; pixels of the input are
    no pixels of the picture.
    """
    text = SUITE + FP32 + RTDETR.format(keys=keys, rule=rule, options=options)
    result = read(tmp_path, text)
    problems = "".join(map(str, result.suite_problems))
    if not said:
        assert not problems
        return
    assert said in problems
    assert "suites/demo/recipes.toml: suite." in problems


def test_keys_that_do_not_fit_together_are_named_without_the_table(tmp_path):
    """The message has no dict of Python's, nor pydantic's "Value error"."""
    text = SUITE.replace("detection", "segmentation") + FP32.replace("map", "miou")
    text += '[suite.output]\nformat = "labels"\nupsample = "bilinear"\n'
    (error,) = read(tmp_path, text).suite_problems
    assert error.problem == 'labels cannot be interpolated; valid: upsample = "nearest"'
    assert error.where.endswith("suite.output")

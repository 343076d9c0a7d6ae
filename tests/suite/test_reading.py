"""What a suite file may say, and what is said when it says something else."""

import tomllib
from pathlib import Path

import pytest
from pytest_perfgate import registry
from pytest_perfgate.records.recipe import LimitKind
from pytest_perfgate.suite import reading
from pytest_perfgate.suite.json_schema import suite_schema
from pytest_perfgate.suite.requirements import missing_packages

SUITE = """\
[suite]
task = "detection"
model = "demo.model:build"
[suite.data]
validation = "demo.data:validation"
"""
FP32 = '[[recipe]]\nname = "fp32"\nruntime = "torch"\n'
ONNX = '[[recipe]]\nname = "onnx"\nfrom = "fp32"\nsteps = [{ export = "onnx" }]\n' + (
    'runtime = "onnxruntime"\n'
)


def read(root: Path, text: str) -> reading.SuiteFile:
    """What is read from a suite of that text."""
    folder = root / "suites" / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipes.toml").write_text(text, encoding="utf-8")
    return reading.read(folder / "recipes.toml", root)


def problem(found: reading.SuiteFile, name: str) -> str:
    """The first problem of a recipe, which must have one and not be taken."""
    assert found.suite is not None
    assert name in found.problems, f"{name} was accepted"
    assert name not in found.suite.recipes
    return str(found.problems[name][0])


def budget(root: Path, line: str, recipe: str = FP32, name: str = "fp32") -> str:
    """The problem of a recipe with one budget line."""
    base = FP32 if recipe is not FP32 else ""
    return problem(read(root, f"{SUITE}{base}{recipe}[recipe.budgets]\n{line}\n"), name)


def test_the_demo_suite_is_read_without_a_problem():
    """The suite that the project ships is read whole."""
    root = Path(__file__).parents[2]
    found = reading.read(root / "suites" / "digits" / "recipes.toml", root)
    assert (found.suite_problems, dict(found.problems)) == ((), {})
    assert found.suite is not None
    int8 = found.suite.recipes["int8"]
    assert [step.name for step in int8.chain] == ["export", "quantize"]
    assert (int8.reference, int8.own_steps, int8.runtime.name) == ("fp32", 1, "onnxruntime")


def test_budgets_are_read_in_base_units_and_not_inherited(tmp_path):
    """A limit is kept in the base unit, and a derived recipe has its own budgets only."""
    found = read(
        tmp_path,
        SUITE + FP32 + '[recipe.budgets]\nlatency_p95 = { max = "60 ms", regression = "5%" }\n'
        'peak_memory = { max = "1 GB", when = { memory = "16 GB", cores = 2 } }\n' + ONNX,
    )
    assert not found.problems
    latency, memory = found.suite.recipes["fp32"].budgets
    assert [(limit.kind, limit.value) for limit in latency.limits] == [
        (LimitKind.MAX, pytest.approx(0.06)),
        (LimitKind.REGRESSION, pytest.approx(0.05)),
    ]
    assert (memory.when.memory, memory.when.cores) == (16e9, 2)
    assert found.suite.recipes["onnx"].budgets == ()


def test_a_malformed_file_names_line_and_column(tmp_path):
    """What is not TOML is placed by line and column."""
    found = read(tmp_path, SUITE + "name = \n")
    assert found.suite is None
    assert "suites/demo/recipes.toml" in str(found.suite_problems[0])
    assert "line 6, column" in str(found.suite_problems[0])


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
        (SUITE + FP32 + "[recpie]\n", "'recpie' is not a key"),
    ],
)
def test_a_problem_of_the_whole_suite_is_named(tmp_path, text, said):
    """A suite that cannot be used says what is wrong and gives no recipes."""
    found = read(tmp_path, text)
    assert found.suite is None
    assert said in str(found.suite_problems[0])


def test_a_path_out_of_the_project_is_refused_and_a_link_is_followed(tmp_path):
    """A model may lie in a store outside the root; the suite file names it by a link inside."""
    (tmp_path / "out.onnx").write_bytes(b"x")
    root = tmp_path / "root"
    (root / "suites" / "demo").mkdir(parents=True)
    (root / "suites" / "demo" / "m.onnx").symlink_to(tmp_path / "out.onnx")
    recipe = FP32.replace('"torch"', '"onnxruntime"')
    assert not read(root, SUITE.replace("demo.model:build", "m.onnx") + recipe).problems
    found = read(root, SUITE.replace("demo.model:build", "../../../out.onnx") + recipe)
    assert "leaves the project" in str(found.suite_problems[0])
    assert "link" in found.suite_problems[0].next_step


def test_a_model_in_onnx_starts_the_chain_as_onnx(tmp_path):
    """An ONNX model needs no export, and is not taken by the torch runtime."""
    (tmp_path / "suites" / "demo").mkdir(parents=True)
    (tmp_path / "suites" / "demo" / "m.onnx").write_bytes(b"x")
    text = SUITE.replace("demo.model:build", "m.onnx")
    assert not read(tmp_path, text + FP32.replace('"torch"', '"onnxruntime"')).problems
    assert "takes exported or torch" in problem(read(tmp_path, text + FP32), "fp32")


@pytest.mark.parametrize("name", ["../up", "<script>", "", "a/b", ".hidden", "x" * 65, "a b"])
def test_a_name_that_cannot_be_a_file_is_refused(tmp_path, name):
    """A recipe's name can neither leave a folder nor carry markup."""
    text = SUITE + FP32 + f'[[recipe]]\nname = "{name}"\nruntime = "torch"\n'
    found = read(tmp_path, text)
    assert "cannot be a recipe's name" in problem(found, name)
    assert "fp32" in found.suite.recipes


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
    found = read(tmp_path, SUITE + FP32 + ONNX + recipe)
    assert said in problem(found, name)
    assert set(found.suite.recipes) == {"fp32", "onnx"}


def test_a_step_that_trains_asks_for_a_trainer(tmp_path):
    """A training step with train data and no trainer is refused."""
    text = SUITE + 'train = "demo.data:train"\n' + FP32
    text += '[[recipe]]\nname = "x"\nfrom = "fp32"\nsteps = [{ finetune = 3 }]\n'
    assert "needs a trainer" in problem(read(tmp_path, text), "x")


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ('{ finetune = 3, data = "validation" }', "data: 'validation': it is not data to learn"),
        ('{ finetune = 3, data = "../night" }', 'valid: train, calibration, "package.module:'),
        ('{ finetune = 3, data = "calibration" }', "needs calibration data"),
        ('{ distil = "small.pt", steps = 3 }', "student: 'small.pt': it is not an import path"),
        ('{ distil = "demo.model:small", steps = 3, alpha = 0 }', "nothing is distilled"),
        ('{ pt2e = "qat", samples = 3 }', "samples is not an option of 'qat'"),
        ('{ pt2e = "static", steps = 3 }', "steps is not an option of 'static'"),
        ('{ pt2e = "static" }', "needs calibration data"),
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
    found = read(tmp_path, text)
    assert "static" in found.suite.recipes
    assert "needs a trainer" in problem(found, "qat")


def test_two_recipes_of_one_name_both_fail_with_what_is_derived(tmp_path):
    """Of two recipes of a name neither is taken."""
    found = read(tmp_path, SUITE + FP32 + FP32 + ONNX)
    assert "two recipes named 'fp32'" in problem(found, "fp32")
    assert "derived from 'fp32', which has errors" in problem(found, "onnx")


def test_a_circle_is_named(tmp_path):
    """Recipes that are derived from each other fail, and the circle is written out."""
    text = SUITE + FP32 + '[[recipe]]\nname = "a"\nfrom = "b"\n[[recipe]]\nname = "b"\nfrom = "a"\n'
    found = read(tmp_path, text)
    assert "a -> b -> a" in problem(found, "a")
    assert "b" in found.problems
    assert set(found.suite.recipes) == {"fp32"}


def test_what_is_derived_from_a_broken_recipe_fails_wherever_it_stands(tmp_path):
    """A recipe above its broken parent in the file fails like one below it."""
    broken = FP32 + "[recipe.budgets]\nlatnecy_p95 = { max = '1 s' }\n"
    below = read(tmp_path, SUITE + broken + ONNX)
    assert "which has errors" in problem(below, "onnx")
    above = read(tmp_path, SUITE + ONNX + broken)
    assert "which has errors" in problem(above, "onnx")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('latnecy_p95 = { max = "1 s" }', "did you mean 'latency_p95'?"),
        ('latency_p95 = { mxa = "1 s" }', "did you mean 'max'?"),
        ('latency_p95 = { min = "1 s" }', "min does not fit latency_p95"),
        ("map = { max = 0.5 }", "max does not fit map"),
        ('latency_p95 = { drop = "1 s" }', "drop does not fit"),
        (
            'build_time = { regression = "5%" }',
            "regression does not fit build_time (nothing is compared with it",
        ),
        (
            'load_time_cold = { growth = "5%" }',
            "growth does not fit load_time_cold (nothing is compared with it",
        ),
        ("map = { speedup = 2 }", "speedup does not fit"),
        ('throughput = { growth = "5%" }', "growth does not fit"),
        ("latency_p95 = { max = 60 }", "has no unit"),
        ('latency_p95 = { max = "60 MB" }', "not a unit that fits"),
        ('latency_p95 = { max = "-1 s" }', "too small"),
        ("map = { min = nan }", "not a finite number"),
        ("latency_p95 = {}", "the budget has no limit"),
        ("map = { drop = 0.1 }", "is the reference"),
        ("latency_p95 = { speedup = 2 }", "is the reference"),
        ('latency_p95 = { growth = "1%" }', "is the reference"),
        ('latency_p95 = { max = "1 s", when = { memory = "16" } }', "when.memory"),
        ('latency_p95 = { max = "1 s", when = { cpus = 1 } }', "did you mean 'cpu'?"),
    ],
)
def test_a_limit_that_makes_no_sense_is_refused(tmp_path, line, said):
    """A budget's problem names file, recipe and metric."""
    text = budget(tmp_path, line)
    assert said in text
    assert text.startswith("suites/demo/recipes.toml: recipe 'fp32': budgets.")


@pytest.mark.parametrize("line", ["latency_p95 = { speedup = 0 }", 'peak_memory={growth="-100%"}'])
def test_a_comparison_that_holds_always_or_never_is_refused(tmp_path, line):
    """Speed-up and growth have a floor."""
    assert "too small" in budget(tmp_path, line, ONNX, "onnx")


@pytest.mark.parametrize(
    "line",
    ["latency_p95 = { regression = 5 }", "artifact_size = { growth = 10 }"],
)
def test_a_percent_is_written_as_one(tmp_path, line):
    """`regression = 5` is not taken for 500 percent."""
    budget(tmp_path, line, ONNX, "onnx")


def test_a_speedup_is_not_a_percent(tmp_path):
    """`speedup = "20%"` is not taken for a fifth of the reference's speed."""
    budget(tmp_path, 'latency_p95 = { speedup = "20%" }', ONNX, "onnx")


def test_a_truth_value_is_not_a_quantity(tmp_path):
    """`min = true` is not taken for 1."""
    budget(tmp_path, "map = { min = true }")


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


PLUGIN = """
from pytest_perfgate.artifact import ONNX, TORCH, OptionsModel
from pytest_perfgate.registry import Requirement
from pytest_perfgate.steps import Step

class Blur(Step):
    name, argument = "blur", "radius"
    class Options(OptionsModel):
        radius: int
    accepts, produces = frozenset({TORCH}), TORCH
    requires = (Requirement("no_such_module_of_anyone", "pip install blur-kit"),)
    def apply(self, artifact, options, context): ...
    def prove(self, effect, options): ...
"""


@pytest.fixture
def third_party(tmp_path, monkeypatch):
    """A package of someone else, with steps of its own."""
    site = tmp_path / "site"
    info = site / "blur_kit-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "blur_kit.py").write_text(PLUGIN, encoding="utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: blur-kit\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[pytest_perfgate.steps]\nblur = blur_kit:Blur\ngone = blur_kit_gone:Gone\n"
        "renamed = blur_kit:Renamed\n"
    )
    monkeypatch.syspath_prepend(str(site))


def steps(key: str) -> str:
    """A recipe with one step."""
    return f'[[recipe]]\nname = "x"\nfrom = "fp32"\nsteps = [{{ {key} = 3 }}]\n'


def test_every_order_that_is_refused_names_steps_that_are_there():
    """A misspelled step would never be refused."""
    for name in registry.names(registry.STEPS):
        for earlier, reason in registry.find(registry.STEPS, name).not_after.items():
            assert earlier in registry.names(registry.STEPS)
            assert reason


@pytest.mark.parametrize(
    ("chain", "said"),
    [
        (
            '{ export = "onnx" }, { half = "float16" }, { quantize = "weight_only" }',
            "'quantize' makes no sense after 'half': 8-bit operators take their scales",
        ),
        (
            '{ export = "onnx" }, { quantize = "weight_only" }, { half = "float16" }',
            "'half' makes no sense after 'quantize': the scales of 8-bit operators",
        ),
        (
            '{ export = "onnx" }, { quantize = "weight_only" }, { nncf = "compress_weights" }',
            "'nncf' makes no sense after 'quantize': its operators are 8-bit already",
        ),
        (
            '{ export = "onnx" }, { quantize = "weight_only" }, { ncnn = "pnnx" }',
            "'ncnn' makes no sense after 'quantize': ncnn knows nothing of Q/DQ",
        ),
        (
            '{ cast = "bfloat16" }, { prune = "structured" }',
            "'prune' makes no sense after 'cast': channels are ranked and traced in float32",
        ),
        (
            '{ sparsify = "2:4" }, { prune = "structured" }',
            "'prune' makes no sense after 'sparsify': removing channels breaks the pattern",
        ),
        (
            "{ fuse = true }, { finetune = 3 }",
            "'finetune' makes no sense after 'fuse': batch normalisation, which training needs",
        ),
        (
            '{ cast = "bfloat16" }, { export = "onnx" }',
            "'export' makes no sense after 'cast': a graph is exported in float32",
        ),
    ],
)
def test_orders_that_make_no_sense_are_refused_at_reading(tmp_path, chain, said):
    """Before anything is built, with the reason."""
    found = read(
        tmp_path, SUITE + FP32 + f'[[recipe]]\nname = "x"\nfrom = "fp32"\nsteps = [{chain}]\n'
    )
    assert said in problem(found, "x")


def test_an_order_that_makes_no_sense_is_refused_with_the_reason(tmp_path):
    """Quantizing what is quantized, also when another recipe did it first."""
    again = '[[recipe]]\nname = "again"\nfrom = "int8"\nsteps = [{ quantize = "dynamic" }]\n'
    int8 = '[[recipe]]\nname = "int8"\nfrom = "onnx"\nsteps = [{ quantize = "weight_only" }]\n'
    found = read(tmp_path, SUITE + FP32 + ONNX + int8 + again)
    assert "int8" in found.suite.recipes  # needs no calibration images
    said = problem(found, "again")
    assert "'quantize' makes no sense after 'quantize': its operators are 8-bit already" in said
    assert "change their order" in said


@pytest.mark.parametrize("group", [registry.STEPS, registry.RUNTIMES, registry.WORKLOADS])
def test_options_are_the_same_after_a_journey(group):
    """Those of every step, runtime and workload are sent to workers whole, defaults included."""
    for name in registry.names(group):
        found = registry.find(group, name)
        if group == registry.STEPS:
            examples = {"finetune": 5, "sparsify": "2:4", "quantize": "dynamic"}
            default = found.Options.model_fields[found.argument].get_default()
            asked = {found.argument: examples.get(name, default)}
            if name == "backbone":
                asked = {"backbone": "resnet18", "steps": 5}
            if name == "distil":
                asked = {"student": "toy.model:small", "steps": 5, "features": [["a", "b"]]}
        else:
            asked = {"training": {"steps": 5}, "replicas": {"devices": 2}}.get(name, {})
        options = found.Options.model_validate(asked)
        assert found.Options.model_validate(options.model_dump(mode="json")) == options


def test_images_are_asked_for_where_a_method_needs_them(tmp_path):
    """The static method needs calibration images, which this suite has not."""
    static = '[[recipe]]\nname = "s"\nfrom = "onnx"\nsteps = [{ quantize = "static" }]\n'
    said = problem(read(tmp_path, SUITE + FP32 + ONNX + static), "s")
    assert "needs calibration data" in said


@pytest.mark.usefixtures("third_party")
def test_a_step_of_another_package_is_found(tmp_path):
    """A step is used by its entry point, and its missing package is named with its command."""
    found = read(tmp_path, SUITE + FP32 + steps("blur"))
    assert not found.problems
    recipe = found.suite.recipes["x"]
    assert dict(recipe.chain[0].options) == {"radius": 3}
    missing = [each.install for each in missing_packages(found.suite, recipe)]
    assert "pip install blur-kit" in missing


@pytest.mark.usefixtures("third_party")
@pytest.mark.parametrize("name", ["gone", "renamed"])
def test_a_step_that_does_not_load_fails_its_recipe_only(tmp_path, name):
    """An entry point to a module or class that is not there is one recipe's problem."""
    found = read(tmp_path, SUITE + FP32 + steps(name))
    problem(found, "x")
    assert "fp32" in found.suite.recipes


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


SEVERAL = (
    '[[recipe]]\nname = "many"\nfrom = "fp32"\nsteps = [{ export = "onnx" }]\n'
    'runtime = ["onnxruntime", { name = "openvino", precision = "bf16" }]\n'
    "[recipe.budgets]\nmap = { drop = 0.01 }\n"
)


def test_a_list_of_runtimes_is_a_recipe_of_each(tmp_path):
    """Each has the steps, the budgets and its own runtime's options, and is named after both."""
    found = read(tmp_path, SUITE + FP32 + SEVERAL)
    assert not found.problems
    assert list(found.suite.recipes) == ["fp32", "many-onnxruntime", "many-openvino"]
    one, other = found.suite.recipes["many-onnxruntime"], found.suite.recipes["many-openvino"]
    assert (one.runtime.name, other.runtime.name) == ("onnxruntime", "openvino")
    assert other.runtime.options["precision"] == "bf16"
    assert one.chain == other.chain
    assert one.budgets == other.budgets
    assert one.budgets[0].metric == "map"
    assert {one.reference, other.reference} == {"fp32"}


def test_what_derives_from_a_list_of_runtimes_names_one(tmp_path):
    """The table's own name is no recipe; one of those that it makes is."""
    child = '[[recipe]]\nname = "child"\nfrom = "{}"\n'
    found = read(tmp_path, SUITE + FP32 + child.format("many-openvino") + SEVERAL)
    assert not found.problems
    assert found.suite.recipes["child"].runtime.name == "openvino"
    said = problem(read(tmp_path, SUITE + FP32 + SEVERAL + child.format("many")), "child")
    assert "recipe 'child': from" in said
    assert "several runtimes" in said
    assert "many-onnxruntime, many-openvino" in said


@pytest.mark.parametrize(
    ("runtimes", "name", "said"),
    [
        ("[]", "many", "runtime: the list of runtimes is empty"),
        ("[3]", "many", "runtime[0]: 3 names no runtime"),
        ('["onnxruntime", { threads = 2 }]', "many", "runtime[1]: {'threads': 2} names no"),
        ('["openvino", { name = "openvino" }]', "many", "runtime[1]: the runtime 'openvino' is in"),
        ('["onnxruntime", "openvno"]', "many-openvno", "runtime[1]: there is no runtime"),
        (
            '["onnxruntime", { name = "openvino", precison = "f32" }]',
            "many-openvino",
            "runtime[1]: precison: 'precison' is not a key",
        ),
        (
            '["onnxruntime", "torch"]',
            "many-torch",
            "runtime[1]: the runtime 'torch' takes exported or",
        ),
        ('["' + "x" * 60 + '"]', "many", "cannot be a recipe's name"),
    ],
)
def test_a_bad_runtime_of_a_list_is_named_by_its_place(tmp_path, runtimes, name, said):
    """The key says which of the list it is; a good one beside it is taken."""
    text = '[[recipe]]\nname = "many"\nfrom = "fp32"\nsteps = [{ export = "onnx" }]\n'
    found = read(tmp_path, f"{SUITE}{FP32}{text}runtime = {runtimes}\n")
    assert said in problem(found, name)
    assert ("many-onnxruntime" in found.suite.recipes) == name.startswith("many-")


@pytest.mark.parametrize(
    "other",
    [
        '[[recipe]]\nname = "many-openvino"\nruntime = "torch"\n',
        '[[recipe]]\nname = "many"\nruntime = "torch"\n',
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_names_that_a_list_makes_are_unique_too(tmp_path, other, first):
    """A second recipe of such a name, or of the table's own, is refused."""
    tables = other + SEVERAL if first else SEVERAL + other
    found = read(tmp_path, SUITE + FP32 + tables)
    assert any("there are two recipes named 'many" in str(p[0]) for p in found.problems.values())
    assert len(found.suite.recipes) < 4


def test_a_runtime_that_takes_another_kind_is_told_the_step(tmp_path):
    """What is advised is a step that is installed and leads there."""
    said = problem(
        read(tmp_path, SUITE + FP32 + '[[recipe]]\nname = "x"\nruntime = "onnxruntime"\n'), "x"
    )
    assert 'add { export = "onnx" } to the steps' in said


def test_a_regression_may_have_two_limits(tmp_path):
    """One beside the base, one against what is stored; both are read, and both are checked."""

    def budget(text):
        return FP32 + f"[recipe.budgets]\nlatency_p50 = {{ regression = {text} }}\n"

    found = read(tmp_path, SUITE + budget('{ base = "5%", stored = "20%" }'))
    (limit,) = found.suite.recipes["fp32"].budgets[0].limits
    assert (limit.value, limit.stored.value) == (0.05, 0.2)
    assert str(limit) == "5%, stored 20%"
    said = problem(read(tmp_path, SUITE + budget('{ base = "5%", stored = 20 }')), "fp32")
    assert "regression.stored" in said
    assert "'20%'" in said or "percentage" in said
    said = problem(read(tmp_path, SUITE + budget('{ base = "5%" }')), "fp32")
    assert "'stored' is missing" in said
    said = problem(
        read(tmp_path, SUITE + budget('{ base = "5%", store = "9%", stored = "9%" }')), "fp32"
    )
    assert "'store' is not a key" in said
    assert "stored" in said

"""Steps of a chain: their order, their options, and steps of other packages."""

import pytest
from pytest_perfgate import registry
from pytest_perfgate.suite.requirements import missing_packages

from tests.suite.texts import FP32, ONNX, SUITE, problem, read

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
            "'ncnn' makes no sense after 'quantize': ncnn does not support Q/DQ",
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
            "'finetune' makes no sense after 'fuse': training needs the batch normalisation",
        ),
        (
            '{ cast = "bfloat16" }, { export = "onnx" }',
            "'export' makes no sense after 'cast': a graph is exported in float32",
        ),
        (
            '{ sparsify = "2:4" }, { qat = 3 }',
            "'qat' makes no sense after 'sparsify': the training would not keep zero weights",
        ),
        ('{ export = "onnx" }, { qat = 3 }', "the step 'qat' takes torch, but the chain before it"),
    ],
)
def test_orders_that_make_no_sense_are_refused_at_reading(tmp_path, chain, said):
    """Before anything is built, with the reason."""
    result = read(
        tmp_path, SUITE + FP32 + f'[[recipe]]\nname = "x"\nfrom = "fp32"\nsteps = [{chain}]\n'
    )
    assert said in problem(result, "x")


def test_an_order_that_makes_no_sense_is_refused_with_the_reason(tmp_path):
    """Quantizing what is quantized, also when another recipe did it first."""
    again = '[[recipe]]\nname = "again"\nfrom = "int8"\nsteps = [{ quantize = "dynamic" }]\n'
    int8 = '[[recipe]]\nname = "int8"\nfrom = "onnx"\nsteps = [{ quantize = "weight_only" }]\n'
    result = read(tmp_path, SUITE + FP32 + ONNX + int8 + again)
    assert "int8" in result.suite.recipes  # needs no calibration images
    said = problem(result, "again")
    assert "'quantize' makes no sense after 'quantize': its operators are 8-bit already" in said
    assert "change their order" in said


@pytest.mark.parametrize("group", [registry.STEPS, registry.RUNTIMES, registry.WORKLOADS])
def test_options_are_the_same_after_a_journey(group):
    """Those of every step, runtime and workload are sent to workers whole, defaults included."""
    for name in registry.names(group):
        result = registry.find(group, name)
        if group == registry.STEPS:
            examples = {"finetune": 5, "qat": 5, "sparsify": "2:4", "quantize": "dynamic"}
            default = result.Options.model_fields[result.argument].get_default()
            requested = {result.argument: examples.get(name, default)}
            if name == "backbone":
                requested = {"backbone": "resnet18", "steps": 5}
            if name == "netadapt":
                requested = {"latency_share": 0.5, "steps": 5}
            if name == "distil":
                requested = {"student": "toy.model:small", "steps": 5, "features": [["a", "b"]]}
        else:
            needed = {
                "training": {"steps": 5},
                "replicas": {"devices": 2},
                "http": {"url": "http://127.0.0.1:8000", "outputs": [{"field": "boxes"}]},
                "kserve": {"url": "http://127.0.0.1:8000"},
            }
            requested = needed.get(name, {})
        options = result.Options.model_validate(requested)
        assert result.Options.model_validate(options.model_dump(mode="json")) == options


def test_images_are_asked_for_where_a_method_needs_them(tmp_path):
    """The static method needs calibration images, which this suite has not."""
    static = '[[recipe]]\nname = "s"\nfrom = "onnx"\nsteps = [{ quantize = "static" }]\n'
    said = problem(read(tmp_path, SUITE + FP32 + ONNX + static), "s")
    assert "needs calibration data" in said


@pytest.mark.usefixtures("third_party")
def test_a_step_of_another_package_is_found(tmp_path):
    """A step is used by its entry point, and its missing package is named with its command."""
    result = read(tmp_path, SUITE + FP32 + steps("blur"))
    assert not result.problems
    recipe = result.suite.recipes["x"]
    assert dict(recipe.chain[0].options) == {"radius": 3}
    missing = [package.install for package in missing_packages(result.suite, recipe)]
    assert "pip install blur-kit" in missing


@pytest.mark.usefixtures("third_party")
@pytest.mark.parametrize("name", ["gone", "renamed"])
def test_a_step_that_does_not_load_fails_its_recipe_only(tmp_path, name):
    """An entry point to a module or class that is not there is one recipe's problem."""
    result = read(tmp_path, SUITE + FP32 + steps(name))
    problem(result, "x")
    assert "fp32" in result.suite.recipes


@pytest.mark.usefixtures("third_party")
def test_of_two_packages_of_a_name_the_first_counts(tmp_path, monkeypatch):
    """As for their modules: what an editable install hides is not registered."""
    assert "blur" in registry.names(registry.STEPS)
    info = tmp_path / "first" / "blur_kit-2.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: blur-kit\nVersion: 2.0\n")
    monkeypatch.syspath_prepend(str(tmp_path / "first"))
    assert "blur" not in registry.names(registry.STEPS)

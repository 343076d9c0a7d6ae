"""A recipe with a list of runtimes is a recipe of each."""

import pytest

from tests.suite.texts import FP32, SUITE, problem, read

SEVERAL = (
    '[[recipe]]\nname = "many"\nfrom = "fp32"\nsteps = [{ export = "onnx" }]\n'
    'runtime = ["onnxruntime", { name = "openvino", precision = "bf16" }]\n'
    "[recipe.budgets]\nmap = { drop = 0.01 }\n"
)


def test_a_list_of_runtimes_is_a_recipe_of_each(tmp_path):
    """Each has the steps, the budgets and its own runtime's options, and is named after both."""
    result = read(tmp_path, SUITE + FP32 + SEVERAL)
    assert not result.problems
    assert list(result.suite.recipes) == ["fp32", "many-onnxruntime", "many-openvino"]
    one, other = result.suite.recipes["many-onnxruntime"], result.suite.recipes["many-openvino"]
    assert (one.runtime.name, other.runtime.name) == ("onnxruntime", "openvino")
    assert other.runtime.options["precision"] == "bf16"
    assert one.chain == other.chain
    assert one.budgets == other.budgets
    assert one.budgets[0].metric == "map"
    assert {one.reference, other.reference} == {"fp32"}


def test_what_derives_from_a_list_of_runtimes_names_one(tmp_path):
    """The table's own name is no recipe; one of those that it makes is."""
    child = '[[recipe]]\nname = "child"\nfrom = "{}"\n'
    result = read(tmp_path, SUITE + FP32 + child.format("many-openvino") + SEVERAL)
    assert not result.problems
    assert result.suite.recipes["child"].runtime.name == "openvino"
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
    result = read(tmp_path, f"{SUITE}{FP32}{text}runtime = {runtimes}\n")
    assert said in problem(result, name)
    assert ("many-onnxruntime" in result.suite.recipes) == name.startswith("many-")


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
    result = read(tmp_path, SUITE + FP32 + tables)
    assert any("there are two recipes named 'many" in str(p[0]) for p in result.problems.values())
    assert len(result.suite.recipes) < 4

"""`workload`: what a recipe is measured by, as a suite file says it."""

from pathlib import Path

from pytest_perfgate import registry
from pytest_perfgate.suite.metrics import metrics_of, metrics_of_workload, task_of
from pytest_perfgate.workloads.batches import Batches
from pytest_perfgate.workloads.images import Images
from pytest_perfgate.workloads.training import Training

from tests.suite.texts import FP32, SUITE, problem, read

TRAINS = SUITE.replace("[suite.data]", 'trainer = "demo.train:fit"\n[suite.data]').replace(
    "validation =", 'train = "demo.data:train"\nvalidation ='
)
TRAIN = '[[recipe]]\nname = "train"\nruntime = "torch"\n'
ASKED = 'workload = { name = "training", steps = 20, learning_rate = 0.01 }\n'
HALF = '[[recipe]]\nname = "half"\nfrom = "train"\nworkload = { autocast = "bfloat16" }\n'


def test_a_recipe_that_names_none_is_measured_by_images(tmp_path: Path) -> None:
    """The default has no options."""
    suite = read(tmp_path, SUITE + FP32).suite
    assert suite is not None
    assert suite.recipes["fp32"].workload.name == "images"
    assert suite.recipes["fp32"].chain == ()


def test_the_chain_of_a_training_ends_on_it(tmp_path: Path) -> None:
    """Accuracy is of what the training leads to; options that are left out are the parent's."""
    suite = read(tmp_path, TRAINS + TRAIN + ASKED + HALF).suite
    assert suite is not None
    for name, cast in (("train", None), ("half", "bfloat16")):
        recipe = suite.recipes[name]
        (link,) = recipe.chain
        assert (link.name, recipe.own_steps) == ("finetune", 1)
        assert link.options["steps"] == 20
        assert link.options["learning_rate"] == 0.01
        assert link.options["autocast"] == recipe.workload.options["autocast"] == cast


def test_a_training_comes_after_the_steps_of_the_recipe(tmp_path: Path) -> None:
    """What is pruned is trained as it is then."""
    pruned = '[[recipe]]\nname = "p"\nfrom = "train"\nsteps = [{ sparsify = "2:4" }]\n'
    suite = read(tmp_path, TRAINS + TRAIN + ASKED + pruned).suite
    assert suite is not None
    assert [spec.name for spec in suite.recipes["p"].chain] == ["sparsify", "finetune"]


def test_what_is_compared_does_the_same_work(tmp_path: Path) -> None:
    """A recipe cannot be measured by other work than its reference."""
    result = read(tmp_path, TRAINS + TRAIN + '[[recipe]]\nname = "t"\nfrom = "train"\n' + ASKED)
    said = problem(result, "t")
    assert "recipe 't': workload" in said
    assert "its workload is 'training', and that of its reference 'train' is 'images'" in said
    assert "leave out `from`" in said


def test_a_metric_of_other_work_cannot_have_a_budget(tmp_path: Path) -> None:
    """The metrics that could are named, in both directions."""
    latency = ASKED + '[recipe.budgets]\nlatency_p50 = { max = "1 s" }\n'
    said = problem(read(tmp_path, TRAINS + TRAIN + latency), "train")
    assert "latency_p50 is not measured by the workload 'training'" in said
    assert "step_time_p50" in said
    step = '[recipe.budgets]\nstep_time_p50 = { max = "1 s" }\n'
    said = problem(read(tmp_path, SUITE + FP32 + step), "fp32")
    assert "step_time_p50 is not measured by the workload 'images'" in said
    assert "latency_p50" in said


def test_what_a_training_needs_is_asked_for_where_it_stands(tmp_path: Path) -> None:
    """Steps, a trainer, data, an artifact that can be trained."""
    bare = 'workload = "training"\n'
    assert "'steps' is missing" in problem(read(tmp_path, TRAINS + TRAIN + bare), "train")
    said = problem(read(tmp_path, SUITE + TRAIN + ASKED), "train")
    assert "recipe 'train': workload" in said
    assert "needs train data" in said
    exported = TRAIN.replace("torch", "onnxruntime") + 'steps = [{ export = "onnx" }]\n'
    said = problem(read(tmp_path, TRAINS + exported + ASKED), "train")
    assert "takes torch, but the chain before it gives onnx" in said


def test_an_unknown_workload_or_option_is_explained(tmp_path: Path) -> None:
    """With what is near."""
    said = problem(read(tmp_path, SUITE + FP32 + 'workload = "trainig"\n'), "fp32")
    assert "there is no workload 'trainig'" in said
    assert "training" in said
    requested = 'workload = { name = "training", steps = 3, auto_cast = "bfloat16" }\n'
    said = problem(read(tmp_path, TRAINS + TRAIN + requested), "train")
    assert "'auto_cast' is not a key" in said
    assert "autocast" in said


def test_replicas_are_several_and_their_number_is_a_recipes_own(tmp_path: Path) -> None:
    """Two at the least; a recipe may ask for more than its reference."""
    requested = 'workload = { name = "replicas", devices = %d, batches = 2 }\n'
    assert "'devices' is missing" in problem(
        read(tmp_path, SUITE + FP32 + 'workload = "replicas"\n'), "fp32"
    )
    assert "greater than or equal to 2" in problem(
        read(tmp_path, SUITE + FP32 + requested % 1), "fp32"
    )
    budget = '[recipe.budgets]\nscaling_efficiency = { min = "90%" }\n'
    more = '[[recipe]]\nname = "m"\nfrom = "fp32"\nworkload = { devices = 4 }\n'
    result = read(tmp_path, SUITE + FP32 + requested % 2 + more + budget)
    assert result.suite is not None, result.problems
    assert not result.problems
    assert result.suite.recipes["m"].workload.options == {
        "devices": 4,
        "batches": 2,
        "batch_size": None,
    }
    assert result.suite.recipes["m"].budgets[0].limits[0].value == 0.9


def test_every_metric_of_a_task_is_measured_by_some_workload() -> None:
    """None is promised that nothing gives; recipes without `workload` keep all they had."""
    task = task_of("detection")
    every = [
        registry.find(registry.WORKLOADS, workload)
        for workload in registry.names(registry.WORKLOADS)
    ]
    reported = [metrics_of_workload(name, task) for name in every]
    assert frozenset().union(*reported) == set(metrics_of("detection"))
    images, training, batches = (
        metrics_of_workload(batch, task) for batch in (Images(), Training(), Batches())
    )
    assert {"latency_p50", "throughput", "parity", "energy", "memory_growth"} <= images
    assert not {"latency_p50", "throughput"} & (training | batches)


def test_a_batch_is_not_compared_with_a_reference_of_another_size(tmp_path: Path) -> None:
    """Seconds of eight images are no slower than those of one; images per second are compared."""
    one = '[[recipe]]\nname = "one"\nruntime = "torch"\nworkload = "batches"\n'
    eight = '[[recipe]]\nname = "eight"\nfrom = "one"\nworkload = { size = 8 }\n[recipe.budgets]\n'
    latency = "batch_latency_p50 = { speedup = 1.1 }\n"
    said = problem(read(tmp_path, SUITE + one + eight + latency), "eight")
    assert "speedup does not fit batch_latency_p50" in said
    assert "may do other work" in said
    rate = 'batch_throughput = { speedup = 1.1 }\nbatch_latency_p50 = { max = "1 s" }\n'
    suite = read(tmp_path, SUITE + one + eight + rate).suite
    assert suite is not None
    assert suite.recipes["eight"].workload.options == {"size": 8}

"""Several processes that train together: the same model as one process makes, or an error."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from pytest_perfgate.steps.pt2e import Pt2e
from pytest_perfgate.steps.training_options import TrainingOptions
from pytest_perfgate.workloads.training import Training

torch = pytest.importorskip("torch", reason="python -m pip install 'pytest-perfgate[torch]'")

SIZE = 2


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What came of each training by two processes, by its name, as rank 0 has it."""
    folder = tmp_path_factory.mktemp("ranks")
    command = [sys.executable, "-m", "tests.steps.rank_trainings", str(folder)]
    root = Path(__file__).parents[2]
    ranks = [
        subprocess.Popen([*command, str(rank), str(SIZE)], cwd=root, stderr=subprocess.PIPE)
        for rank in range(SIZE)
    ]
    for rank in ranks:
        _, words = rank.communicate(timeout=600)
        assert rank.returncode == 0, words.decode()
    results: dict[str, Any] = json.loads((folder / "0.json").read_text())
    return results


@pytest.mark.parametrize("name", ["mean", "counted", "partial", "taught"])
def test_processes_together_end_where_one_process_does(
    name: str, together: dict[str, Any], tmp_path: Path
) -> None:
    """Batch normalisation, a clipped gradient, a loss by the objects of the batch, frozen layers
    and distillation. Sums of float32 in another order differ by some units of 6e-8 in each of six
    steps; a half batch's statistics or loss move weights by more than a hundredth.
    """
    from tests.steps.rank_trainings import run

    alone = run(name, tmp_path / "alone")
    result = together[name]
    assert result["effect"].pop("processes") == SIZE
    weights, expected = torch.tensor(result["weights"]), torch.tensor(alone["weights"])
    assert (weights - expected).abs().max() < 1e-5 * expected.abs().max()
    losses = [one["effect"].pop("training_loss") for one in (result, alone)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("undivided", "did not divide its batch"),
        ("by_hand", "did not average their gradients"),
        ("noisy", "ended in different weights"),
        ("hidden", "do not know its module"),
        ("uneven", "5 rows of a batch cannot be divided evenly among 2 processes"),
        ("own_norm", "1 is a OwnNorm, which normalises over the images of one process"),
    ],
)
def test_a_trainer_that_does_not_train_together_is_an_error(
    name: str, said: str, together: dict[str, Any]
) -> None:
    """Else each process would train a model of its own, or do all of the work."""
    assert said in together[name]["error"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"processes": 3}, "batch_size = 8 cannot be divided evenly among 3 processes"),
        ({"processes": 0}, "greater than or equal to 1"),
        ({"checkpoint_every": "10"}, "no unit"),
        ({"checkpoint_every": "-1 s"}, "negative"),
        ({"checkpoint_every": "10 MB"}, "not a unit"),
    ],
)
def test_options_of_several_processes_and_long_runs_are_checked(
    options: dict[str, Any], said: str
) -> None:
    """Before any work."""
    with pytest.raises(ValidationError, match=said):
        TrainingOptions(steps=1, **options)


def test_when_checkpoints_are_kept_is_no_part_of_a_key() -> None:
    """A training that is changed to keep them more often goes on from the one it has."""
    options = TrainingOptions(steps=1, checkpoint_every="10 min")
    assert options.checkpoint_seconds == 600
    assert options.without_effect == {"checkpoint_every"}
    assert options.model_dump()["checkpoint_every"] == "10 min"
    assert not {"processes", "checkpoint_every"} & TrainingOptions(steps=1).model_dump().keys()


def test_what_times_or_calibrates_has_one_process() -> None:
    """The workload times steps of one process; ranges from images need no training."""
    with pytest.raises(ValidationError, match="one process"):
        Training.Options(steps=1, processes=2)
    with pytest.raises(ValidationError, match="processes is not an option of 'static'"):
        Pt2e.Options(processes=2)

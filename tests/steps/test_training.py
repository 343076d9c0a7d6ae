"""A course: its steps, what is kept of it, and what it is continued from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pytest_perfgate.errors import BuildError
from pytest_perfgate.steps.training import Course, train
from pytest_perfgate.steps.training_checkpoints import Checkpoints
from pytest_perfgate.steps.training_options import TrainingOptions

from tests.steps.conftest import example

torch = pytest.importorskip("torch", reason="python -m pip install 'pytest-perfgate[torch]'")
pytest.importorskip("safetensors", reason="python -m pip install 'pytest-perfgate[torch]'")

FILES = {"model.py": "1"}


class Stop(Exception):
    """What cuts a training off."""


def kept(folder: Path, files: Mapping[str, str] = FILES) -> Checkpoints:
    """Checkpoints after every step, of a project with these files."""
    return Checkpoints(folder, lambda: files, lambda known: dict(known) == dict(files), every=0.0)


def trainer(die: int = -1) -> Any:
    """A trainer with momentum, a schedule and dropout; it is cut off at the step `die`."""

    def fit(module: Any, data: Any, *, course: Course, **options: Any) -> Any:
        assert data == "train"
        module.train()
        optimizer = torch.optim.AdamW(module.parameters(), lr=options["learning_rate"])
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, options["learning_rate"], total_steps=options["steps"]
        )
        state = {"module": module, "optimizer": optimizer, "schedule": schedule}
        for step in course.steps(options["steps"], **state):
            if step == die:
                raise Stop
            images = torch.from_numpy(example(step + 1)[:1])
            loss = course.loss(images, module(images).square().mean())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        return module.eval()

    return fit


OPTIONS = TrainingOptions(steps=6, learning_rate=0.01)


def weights(make_model: Any, course: Course, die: int = -1) -> Any:
    """What the training ends in, as one vector."""
    torch.manual_seed(1)
    module = make_model(torch.nn.Dropout(0.5), torch.nn.Conv2d(32, 5, 1))
    trained = train(trainer(die), module, "train", OPTIONS, 3, course)
    return torch.cat([tensor.flatten().double() for tensor in trained.state_dict().values()])


def cut(make_model: Any, folder: Path, at: int = 4) -> None:
    """A training that ends at a step, and leaves what it kept."""
    with pytest.raises(Stop):
        weights(make_model, Course(checkpoints=kept(folder)), die=at)
    assert (folder / "state.json").exists()


def test_two_trainings_end_in_the_same_weights(make_model: Any) -> None:
    """The seed says it all, dropout included."""
    assert torch.equal(weights(make_model, Course()), weights(make_model, Course()))


def test_a_training_that_was_cut_off_is_continued_to_the_same_weights(
    make_model: Any, tmp_path: Path
) -> None:
    """Momentum, rate and random numbers go on where they were; every step's progress is told."""
    reported: list[tuple[int, int, str]] = []
    cut(make_model, tmp_path / "t")
    torch.rand(7)  # another process would not be here
    course = Course(lambda *arguments: reported.append(arguments), kept(tmp_path / "t"))
    result = weights(make_model, course)
    assert course.resumed_at == 4
    assert course.note == "continued after step 4"
    assert [done for done, _, _ in reported] == [4, 5, 6]
    assert "loss" in reported[-1][2]
    assert torch.equal(result, weights(make_model, Course()))


def test_nothing_is_pickled(make_model: Any, tmp_path: Path) -> None:
    """A checkpoint is one safetensors file and one of JSON."""
    cut(make_model, tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["4.safetensors", "state.json"]
    json.loads((tmp_path / "state.json").read_text())
    kept(tmp_path).delete()
    assert not tmp_path.exists()


def damage_tensors(folder: Path) -> None:
    """One bit of the weights turns."""
    file = next(folder.glob("*.safetensors"))
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)


def damage_number(folder: Path) -> None:
    """A number of the state is another."""
    file = folder / "state.json"
    file.write_text(file.read_text().replace('"done": 4', '"done": 3'))


def cut_file(folder: Path) -> None:
    """Half of the state is missing."""
    file = folder / "state.json"
    file.write_text(file.read_text()[:200])


def pickle_instead(folder: Path) -> None:
    """Someone puts a pickle in the tensors' place."""
    torch.save({"0": torch.zeros(1)}, next(folder.glob("*.safetensors")))


def lose_tensors(folder: Path) -> None:
    """The tensors are gone."""
    next(folder.glob("*.safetensors")).unlink()


@pytest.mark.parametrize(
    "harm", [damage_tensors, damage_number, cut_file, pickle_instead, lose_tensors]
)
def test_a_damaged_checkpoint_is_left_alone_and_said(
    harm: Any, make_model: Any, tmp_path: Path
) -> None:
    """The training starts anew, ends in the same weights, and notes why."""
    cut(make_model, tmp_path)
    harm(tmp_path)
    course = Course(checkpoints=kept(tmp_path))
    result = weights(make_model, course)
    assert course.resumed_at == 0
    assert "not used" in course.note
    assert torch.equal(result, weights(make_model, Course()))


def test_a_checkpoint_of_other_code_is_not_continued(make_model: Any, tmp_path: Path) -> None:
    """A file of the project that changed in between makes it another training."""
    cut(make_model, tmp_path)
    course = Course(checkpoints=kept(tmp_path, {"model.py": "2"}))
    weights(make_model, course)
    assert course.resumed_at == 0
    assert "other code" in course.note


def test_state_that_cannot_be_kept_is_named(tmp_path: Path) -> None:
    """An object in a state dict is an error with its place, not a pickle."""
    with pytest.raises(BuildError, match=r"optimizer\.hook .*object") as caught:
        kept(tmp_path).save(1, 2, {"optimizer": {"hook": object()}})
    assert "tensors, numbers" in caught.value.valid


def test_a_trainer_that_leaves_early_is_an_error(make_model: Any) -> None:
    """Steps that were not done are not counted as done."""

    def lazy(module: Any, _data: Any, *, course: Course, **options: Any) -> Any:
        next(course.steps(options["steps"]))
        return module

    with pytest.raises(BuildError, match="0 of 6 steps"):
        train(lazy, make_model(), "train", OPTIONS, 0, Course())


def test_a_trainer_of_another_shape_is_told_the_contract(make_model: Any) -> None:
    """A missing keyword is an error before any work."""

    def old(module: Any, data: Any, *, steps: int, progress: Any) -> Any:
        raise AssertionError(module, data, steps, progress)

    with pytest.raises(BuildError) as caught:
        train(old, make_model(), "train", OPTIONS, 0, Course())
    assert "course" in caught.value.valid
    with pytest.raises(BuildError, match="no trainer"):
        train(None, make_model(), "train", OPTIONS, 0, Course())

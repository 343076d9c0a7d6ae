"""`pytest-perfgate baselines rename`: what is stored follows a recipe to its new name."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_perfgate.baselines.store import Store
from pytest_perfgate.cli.main import main

from tests.baselines.test_store import MACHINE, baseline

OTHER = MACHINE.model_copy(update={"cpu": "Another CPU"})


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Baselines of one recipe on two machines."""
    monkeypatch.chdir(tmp_path)
    result = Store(Path("baselines"))
    for machine in (MACHINE, OTHER):
        result.write(baseline().model_copy(update={"machine": machine}))
    return result


def test_all_machines_follow(store: Store) -> None:
    """The same values under the new name, and nothing under the old one."""
    stored, machines = baseline(), (MACHINE, OTHER)
    before = [store.read(machine, stored.suite, stored.recipe) for machine in machines]
    assert main(["baselines", "rename", f"{stored.suite}/{stored.recipe}", "new"]) == 0
    for machine, old in zip(machines, before, strict=True):
        moved = store.read(machine, stored.suite, "new")
        assert moved is not None
        assert old is not None
        named = {"recipe", "pairs"}  # the file beside it has the recipe's name
        assert moved.model_dump(exclude=named) == old.model_dump(exclude=named)
        assert store.read(machine, stored.suite, stored.recipe) is None
        folder = store.path(machine.id, stored.suite, "new").parent
        assert all(file.name.startswith("new.") for file in folder.iterdir() if file.name[0] != ".")


def test_nothing_is_overwritten_and_an_unknown_name_is_refused(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not on one machine either, where the other has room."""
    stored = baseline()
    store.write(stored.model_copy(update={"recipe": "taken", "machine": OTHER}))
    kept = sorted(map(str, store.files()))
    assert main(["baselines", "rename", f"{stored.suite}/{stored.recipe}", "taken"]) == 1
    assert "has a baseline already; nothing was changed" in capsys.readouterr().err
    assert main(["baselines", "rename", f"{stored.suite}/unknown", "new"]) == 1
    assert "there is no baseline of" in capsys.readouterr().err
    assert main(["baselines", "rename", f"{stored.suite}/{stored.recipe}", "../new"]) == 1
    assert sorted(map(str, store.files())) == kept

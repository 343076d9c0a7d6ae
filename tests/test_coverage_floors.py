"""A room below its floor fails the run, whatever the others have."""

from __future__ import annotations

import pytest

from tests.coverage_floors import FLOORS, missed

FULL = dict.fromkeys(FLOORS, 100.0)


@pytest.mark.parametrize("room", FLOORS)
def test_a_room_below_its_floor_is_named(room: str) -> None:
    """With its figure, the floor and the command that lists what was not run."""
    (line,) = missed({**FULL, room: 94.9})
    assert line.startswith(f"coverage of {room}: 94.9 %, the floor is 95 %")
    assert f"--include='*/pytest_perfgate/{room}/*'" in line


def test_rooms_at_their_floors_are_kept() -> None:
    """The floor itself is enough."""
    assert missed({**FULL, **FLOORS}) == []

"""What a process and its workers of pytest-xdist measured, as one record."""

from __future__ import annotations

from pytest_perfgate.plugin.ending import joined

from tests.report.pairs import calm


def test_the_code_of_all_workers_counts() -> None:
    """Changes that one of them measured, and a commit that is not that of the others."""
    clean = calm().model_copy(update={"dirty": False})
    record = joined(clean, [clean])
    assert record is not None
    assert (record.commit, record.dirty) == (clean.commit, False)
    others = [clean.model_copy(update={"dirty": True}), clean.model_copy(update={"commit": ""})]
    record = joined(clean, others)
    assert record is not None
    assert (record.commit, record.dirty) == ("", True)
    several = joined(clean, [clean.model_copy(update={"commit": "b" * 40})])
    assert several is not None
    assert (several.commit, several.dirty) == ("", True)
    assert f"({clean.commit[:10]} and {'b' * 10})" in several.changed
    alone = joined(None, [several])
    assert alone is not None
    assert alone.changed == several.changed

"""The accuracy of data without annotations: recipes are compared with each other alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from pytest_perfgate.records.accuracy import Accuracy

_NOTHING: Mapping[str, str] = MappingProxyType({})


def unscored(
    data: Any,
    predictions_digest: str,
    why: str,
    metrics: Iterable[str],
    unmeasured: Mapping[str, str] = _NOTHING,
) -> Accuracy:
    """An accuracy without values. `data` has `images`, `digest` and `notes`; `why` says what it
    lacks, as a note and for each of `metrics`; `unmeasured` has what is not measured besides.
    """
    return Accuracy(
        values={},
        images=len(data.images),
        data_digest=data.digest,
        predictions_digest=predictions_digest,
        notes=(*data.notes, why),
        unmeasured={**unmeasured, **dict.fromkeys(metrics, why)},
    )

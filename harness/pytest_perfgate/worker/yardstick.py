"""The yardstick: a fixed workload that every launch measures beside the recipes.

It uses nothing of the project and no framework, only numpy, so its time changes when the
machine does and not when the code under test does. Two sessions are compared through it: what
it gained or lost between them is the machine's drift.
"""

from __future__ import annotations

from collections.abc import Callable

_SIZE = 320
_CHANNELS = 24
_REPEATS = 4


def piece() -> Callable[[], float]:
    """One piece of the yardstick, about 2 ms, with the habits of a small convolutional network:
    products of matrices, and element-wise passes over arrays larger than the L2 cache. How many
    make a yardstick: `pytest_perfgate.records.yardsticks`.
    """
    import numpy as np

    random = np.random.default_rng(0)
    weights = random.standard_normal((_CHANNELS * 2, _CHANNELS), dtype=np.float32)
    back = random.standard_normal((_CHANNELS, _CHANNELS * 2), dtype=np.float32)
    start = random.standard_normal((_CHANNELS, (_SIZE // 4) ** 2), dtype=np.float32)
    wide = np.empty((_CHANNELS * 2, (_SIZE // 4) ** 2), dtype=np.float32)
    narrow = np.empty_like(start)

    def visit() -> float:
        narrow[:] = start  # always from the same numbers: products would grow without end
        for _ in range(_REPEATS):
            np.matmul(weights, narrow, out=wide)
            np.maximum(wide, 0.0, out=wide)
            fresh = wide * 0.1  # a large temporary, so that the allocator is part of it
            np.matmul(back, fresh, out=narrow)
            np.tanh(narrow, out=narrow)
        return float(narrow[0, 0])

    return visit

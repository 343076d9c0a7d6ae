"""Names of GPU kernels, as short as people say them."""

from __future__ import annotations

import re

_NAME = re.compile(r"(?:void\s+)?((?:[\w~$]|::)+)")


def short(name: str) -> str:
    """A kernel's name without its return type, its template arguments and its parameters:
    `void at::native::elementwise_kernel<128, 2>(int)` is `at::native::elementwise_kernel`.
    """
    match = None if name.startswith("_Z") else _NAME.match(name)  # mangled: left as it is
    return match[1] if match else name

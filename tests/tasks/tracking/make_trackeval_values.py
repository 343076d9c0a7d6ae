"""Writes the values that TrackEval gives for the sets of `worlds`, the table of the tests.

python -m pip install --target /tmp/trackeval --no-deps trackeval==1.3.0
PERFGATE_TRACKEVAL=/tmp/trackeval python -m tests.tasks.tracking.make_trackeval_values
"""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.tracking import values_of_trackeval
from tests.tasks.tracking.worlds import worlds

TABLE = Path(__file__).parent / "trackeval_values.json"

if __name__ == "__main__":
    table = {name: values_of_trackeval(sequences) for name, sequences in worlds().items()}
    TABLE.write_text(json.dumps(table, indent=1) + "\n")
    print(f"{TABLE}: {len(table)} sets")  # noqa: T201 - a program

#!/usr/bin/env bash
# DuckDB rounds the fractions of every later Parquet file when the first file holds whole numbers
#
# Versions     duckdb 2.0.0 (Python 3.11)
# Behaviour    Two Parquet files with one column of milliseconds: 2 in the first (integers), 1.75 in the
#              second (doubles). Read together by read_parquet, 1.75 comes back as 2. In the other order,
#              or with union_by_name, it is 1.75. The same numbers in two JSON files are right in either
#              order, so a test on JSON does not show it. Which file is first follows from the names.
# Output       parquet, integers first: 2, 2
#              parquet, doubles first: 1.75, 2
#              parquet, integers first, union_by_name: 2, 1.75
#              json, integers first: 2, 1.75
# Wrong guess  "union_by_name is for columns that are missing or in another order; a cast that loses
#              something is an error or a widening", as in the JSON reader.
# Source       Found when a night's history lost its decimals. DuckDB's guide "Combining schemas": the
#              schema is that of the first file and later files are joined by position; that values are
#              then cast down to its types, and rounded, is not said there.
# What to do   read_parquet(files, union_by_name = true), or write every file with a declared schema.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet duckdb==2.0.0
cd "$work"
venv/bin/python - <<'PY'
import sys

import duckdb

for kind in ("parquet", "json"):
    duckdb.sql(f"COPY (SELECT 2::BIGINT AS ms) TO 'whole.{kind}' (FORMAT {kind})")
    duckdb.sql(f"COPY (SELECT 1.75::DOUBLE AS ms) TO 'fraction.{kind}' (FORMAT {kind})")


def values(call):
    return ", ".join(f"{row[0]:g}" for row in duckdb.sql(f"SELECT ms FROM {call}").fetchall())


cases = {
    "parquet, integers first": (values("read_parquet(['whole.parquet', 'fraction.parquet'])"), "2, 2"),
    "parquet, doubles first": (values("read_parquet(['fraction.parquet', 'whole.parquet'])"), "1.75, 2"),
    "parquet, integers first, union_by_name": (
        values("read_parquet(['whole.parquet', 'fraction.parquet'], union_by_name = true)"), "2, 1.75",
    ),
    "json, integers first": (values("read_json(['whole.json', 'fraction.json'])"), "2, 1.75"),
}
for name, (observed, _) in cases.items():
    print(f"{name}: {observed}")
if any(observed != expected for observed, expected in cases.values()):
    sys.exit("The behaviour changed.")
PY

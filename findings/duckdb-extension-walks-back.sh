#!/usr/bin/env bash
# pip puts an extension for DuckDB 1.0 beside DuckDB 2.0, and the next package takes DuckDB itself back
#
# Versions     duckdb 2.0.0, duckdb-extension-postgres up to 1.5.5, duckdb-extensions 1.5.5 (Python 3.11)
# Behaviour    The packages that carry DuckDB's extensions have one release for each release of the engine,
#              and 2.0 has none. Asked for both, pip neither refuses nor takes the newest: it walks back to
#              1.0.3, the last release whose metadata asks for any duckdb from 1.0 on. What that one carries
#              is a library for 1.0.0, which an engine of 2.0.0 refuses when it is loaded. The loader's own
#              package asks for its exact engine: installing it takes duckdb from 2.0.0 to 1.5.5 and leaves
#              the old extension, which is not the one that the loader looks for.
# Output       pip chose duckdb 2.0.0, duckdb-extension-postgres 1.0.3, with a library for v1.0.0
#              loading it: ... built specifically for DuckDB version 'v1.0.0' ...
#              after duckdb-extensions==1.5.5: duckdb 1.5.5, duckdb-extension-postgres 1.0.3
# Wrong guess  "pip resolved it, so the two fit each other", and "one more package of the family changes no
#              other". A test that skips where the extension does not load stays silent about both.
# Source       Found when a history in PostgreSQL was to be read through DuckDB. The metadata of the releases
#              (Requires-Dist) on the package index: 1.0.3 has duckdb>=1.0.0, later ones duckdb==X.
# What to do   Pin engine and extensions to one version (duckdb==1.5.5, duckdb-extension-postgres==1.5.5), or
#              speak with the database through a driver of its own.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
pip() { "$work/venv/bin/pip" "$@"; }
version() { "$work/venv/bin/python" -c "import importlib.metadata as m; print(m.version('$1'))"; }
pip install --quiet duckdb==2.0.0 'duckdb-extension-postgres<=1.5.5'
cd "$work"
packed=$(find venv -name 'postgres.duckdb_extension.gz')
extension=$(version duckdb-extension-postgres)
built=$(basename "$(dirname "$packed")")
echo "pip chose duckdb $(version duckdb), duckdb-extension-postgres $extension, with a library for $built"
gunzip -c "$packed" >postgres.duckdb_extension
cat >load.py <<'PY'
import duckdb

try:
    duckdb.connect().execute("LOAD './postgres.duckdb_extension'")
except duckdb.Error as error:
    print(" ".join(str(error).split()))
else:
    print("it loads")
PY
said=$("$work/venv/bin/python" load.py)
echo "loading it: $said"
pip install --quiet duckdb-extensions==1.5.5
engine=$(version duckdb)
echo "after duckdb-extensions==1.5.5: duckdb $engine, duckdb-extension-postgres $(version duckdb-extension-postgres)"
if [[ $extension != 1.0.3 || $built != v1.0.0 || $said != *"built specifically for DuckDB version 'v1.0.0'"* ||
    $engine != 1.5.5 || $(version duckdb-extension-postgres) != 1.0.3 ]]; then
    echo "the behaviour has changed"
    exit 1
fi
echo "as described"

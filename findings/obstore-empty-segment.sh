#!/usr/bin/env bash
# One object with two slashes in a row in its key makes obstore list nothing of the whole prefix
#
# Versions     obstore 0.12.1 (object_store of Rust inside), moto 5.2.5 as the S3 server, boto3 1.44.8
# Behaviour    A bucket has "run/x" and "run//y": any join of "run/" and "/y" makes the second, and S3
#              takes it as a name like others. boto3 lists both. obstore's list of "run" ends in
#              InvalidPathError, before it gives a single entry, and "run//y" can be neither read nor
#              deleted by it. The marker that consoles make for a folder, "run/a/", is listed
#              as "run/a", and reading what was listed ends in FileNotFoundError.
# Output       boto3:           run//y run/x
#              obstore:         InvalidPathError
#              with a marker:   run/a run/x
#              reading run/a:   FileNotFoundError
#              with run/b/y:    run/b/y run/x
# Wrong guess  "A client lists what is there; an odd key of somebody else is at worst an odd entry."
# Source       Found when a folder of a bucket that others write to, too, was mirrored. object_store's
#              Path holds no empty, "." or ".." segment and no trailing slash (its documentation says
#              so of paths that a program makes); the listing parses each key into one.
# What to do   Keep a prefix for yourself, and tell people which key it was: the message names it.
#              Do not take a listed path for a key that can be read.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet obstore==0.12.1 "moto[server]==5.2.5" boto3==1.44.8
cd "$work"
cat >lists.py <<'PY'
import logging
import os

from moto.server import ThreadedMotoServer

logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
os.environ |= {
    "AWS_ENDPOINT_URL": f"http://{host}:{port}",
    "AWS_ACCESS_KEY_ID": "any",
    "AWS_SECRET_ACCESS_KEY": "any",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ALLOW_HTTP": "true",
}
import boto3
import obstore
from obstore.store import S3Store

bucket = boto3.resource("s3").Bucket("models")
bucket.create()
store = S3Store("models")


def holding(key):
    bucket.objects.all().delete()
    for name in ("run/x", key):
        bucket.put_object(Key=name, Body=b"1")
    try:
        return " ".join(sorted(entry["path"] for part in obstore.list(store, prefix="run") for entry in part))
    except Exception as error:
        return type(error).__name__


odd = holding("run//y")
print("boto3:          ", *sorted(entry.key for entry in bucket.objects.all()))
print("obstore:        ", odd)
print("with a marker:  ", holding("run/a/"))
try:
    obstore.get(store, "run/a")
except Exception as error:
    print("reading run/a:  ", type(error).__name__)
print("with run/b/y:   ", holding("run/b/y"))
server.stop()
PY
output=$(venv/bin/python lists.py 2>/dev/null)
echo "$output"
expected="boto3:           run//y run/x
obstore:         InvalidPathError
with a marker:   run/a run/x
reading run/a:   FileNotFoundError
with run/b/y:    run/b/y run/x"
[[ $output == "$expected" ]] || { echo "The behaviour changed."; exit 1; }

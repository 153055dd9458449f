#!/bin/sh
# Drives the command and the REST API as a user would, on the real kernel, in state directories of
# its own. Usage: e2e/run.sh [pytest arguments]
set -eu
cd "$(dirname "$0")/.."
exec /usr/bin/python3 -m pytest -q -p no:cacheprovider e2e "$@"

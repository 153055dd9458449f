#!/bin/sh
# Measures forkd and its peers on this machine; see bench/README.md. Options go to bench.py.
set -eu
here=$(dirname "$(readlink -f "$0")")
if [ "$(id -u)" -ne 0 ]; then
  echo 'bench: needs root, as the forkd daemon does; run: sudo bench/run.sh' >&2
  exit 2
fi
exec env PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 "$here/bench.py" "$@"

#!/bin/sh
# Makes the caches of loaded and linked classes that speed up the start of the command line and of
# the daemon (JEP 514). A cache fits one jar and one JDK. Where there is none forkd starts all the
# same, so trouble here is reported and never fails a build.
# shellcheck disable=SC3013 # -nt is not in POSIX, but in dash, bash and busybox
set -eu

home=$(cd "${0%/*}/.." && pwd)
jar=$home/target/forkd.jar
# shellcheck source=scripts/jvm.sh
. "$home/scripts/jvm.sh"

say() { printf 'aot-cache: %s\n' "$*" >&2; }

# A cache holds the classes that its training loads: so a daemon is trained by starting it, and the
# command line by asking that daemon. Only root can start one; others get caches of less.
train() {
  if [ "$(id -u)" -ne 0 ]; then
    train_alone serve "$jvm_serve"
    train_alone cli "$jvm_cli"
    return
  fi
  scratch=$(mktemp -d)
  project=$(mktemp -d "$home/target/aot-XXXXXX") # no project may be below /tmp
  trap 'rm -rf "$scratch" "$project"' EXIT
  unset FORKD_URL FORKD_RUN_DIR FORKD_BIND FORKD_TOKEN_FILE FORKD_NO_RELAY
  # shellcheck disable=SC2086
  FORKD_STATE_DIR=$scratch "$jvm/bin/java" $jvm_serve "-XX:AOTCacheOutput=$(new serve)" \
    "-Dforkd.home=$home" -jar "$jar" serve --bind none >"$(log serve)" 2>&1 </dev/null &
  daemon=$!
  await_socket "$scratch/run/cli.sock"
  # shellcheck disable=SC2086
  FORKD_STATE_DIR=$scratch FORKD_URL=unix:$scratch/run/forkd.sock "$jvm/bin/java" $jvm_cli \
    "-XX:AOTCacheOutput=$(new cli)" "-Dforkd.home=$home" -jar "$jar" ls \
    >"$(log cli)" 2>&1 </dev/null || :
  # The daemon runs commands itself, for those who have the relay.
  FORKD_RUN_DIR=$scratch/run "$home/native/build/forkd-cli" images >/dev/null 2>&1 </dev/null || :
  train_test
  kill -TERM "$daemon" 2>/dev/null || :
  wait "$daemon" || : # 143, or why not: the log tells
}

# The first `forkd test` of a CI job loads most of what there is. Without a pytest it trains less.
train_test() {
  echo '[pytest]' >"$project/pytest.ini"
  echo 'def test_nothing(): pass' >"$project/test_nothing.py"
  for _ in 1 2; do
    (cd "$project" && FORKD_RUN_DIR=$scratch/run "$home/native/build/forkd-cli" test -n 2) \
      >>"$(log serve)" 2>&1 </dev/null || :
  done
}

train_alone() { # NAME FLAGS
  # shellcheck disable=SC2086
  "$jvm/bin/java" $2 "-XX:AOTCacheOutput=$(new "$1")" "-Dforkd.home=$home" -jar "$jar" version \
    >"$(log "$1")" 2>&1 </dev/null || :
}

await_socket() { # PATH; gives up when the daemon ends, or after a minute
  tries=0
  while [ ! -S "$1" ] && [ "$tries" -lt 600 ] && kill -0 "$daemon" 2>/dev/null; do
    tries=$((tries + 1))
    sleep 0.1
  done
}

cache() { echo "$home/target/forkd-$1.aot"; }
new() { echo "$(cache "$1").new"; }
log() { echo "$(cache "$1").log"; }

# Beside its place and renamed into it: a JVM that starts meanwhile maps a whole file or none.
publish() { # NAME
  if [ -s "$(new "$1")" ]; then
    mv "$(new "$1")" "$(cache "$1")"
  else
    rm -f "$(cache "$1")"
    say "no cache for '$1': forkd works, but starts more slowly. Why: $(log "$1")"
  fi
}

if [ ! -f "$jar" ]; then
  say "nothing to do: $jar does not exist"
elif ! jvm_find java; then
  say 'nothing to do: no JDK 25 or newer was found'
elif [ ! "$(cache cli)" -nt "$jar" ] || [ ! "$(cache serve)" -nt "$jar" ]; then
  rm -f "$(new cli)" "$(new serve)"
  train
  publish cli
  publish serve
fi

# Which JVM runs forkd, and with which flags. Sourced by ../forkd, aot-cache.sh and the Makefile.
# shellcheck shell=sh disable=SC2034

# The first verbs a user sees are short: C1 and the serial collector start fastest. The daemon does
# little but wait and carry bytes: with the optimising compiler its start takes twice the CPU time
# and it serves no request faster (bench/run.sh --only forks pool trips). A JVM's warnings go to
# standard output unless told otherwise, where they would end up inside somebody's JSON; that a
# cache does not fit this JDK is not worth a word.
jvm_common='-XX:+UseSerialGC -XX:TieredStopAtLevel=1 --enable-native-access=ALL-UNNAMED'
jvm_common="$jvm_common -XX:+DisplayVMOutputToStderr -Xlog:disable -Xlog:all=error,aot*=off:stderr"
jvm_cli=$jvm_common
# A small young generation: what the JVM would choose by the size of the machine is touched all
# over and stays resident for nothing.
jvm_serve="$jvm_common -Xms64m -Xmx512m -Xmn32m"

# jvm_major DIR: sets major to the feature version of the JVM in DIR, to 0 where there is none.
# Its `release` file says so; asking `java -version` would cost 50 ms at every start.
jvm_major() {
  major=0
  if [ ! -x "$1/bin/java" ] || [ ! -r "$1/release" ]; then return 0; fi
  while IFS= read -r line; do
    case $line in
      JAVA_VERSION=*)
        major=${line#*=}
        major=${major#\"}
        major=${major%%[!0-9]*}
        break
        ;;
    esac
  done <"$1/release"
  major=${major:-0}
}

# jvm_try SOURCE DIR: 0 and sets jvm when the JVM in DIR will do; else notes why not in jvm_seen.
jvm_try() {
  jvm_major "$2"
  if [ "$major" -ge 25 ] && [ -x "$2/bin/$jvm_tool" ]; then
    jvm=$2
    return 0
  fi
  case $major in
    0) why='not a JDK' ;;
    *) why="version $major" ;;
  esac
  if [ "$major" -ge 25 ]; then why="$why, but without $jvm_tool"; fi
  jvm_seen="$jvm_seen
  $1: $2 ($why)"
  return 1
}

# jvm_find TOOL: sets jvm to the home of a JDK >= 25 that has TOOL (java or javac); 1 for none.
jvm_find() {
  jvm_tool=$1
  jvm=
  jvm_seen=
  # Who names a JVM for forkd wants that one or an error, not another.
  if [ -n "${FORKD_JAVA_HOME:-}" ]; then
    jvm_try FORKD_JAVA_HOME "$FORKD_JAVA_HOME" && return 0
    jvm_seen="$jvm_seen
  (where FORKD_JAVA_HOME is set, nothing else is looked at)"
    return 1
  fi
  # A distribution brings the one that it was tried with. (home is set by who sources this.)
  if [ -n "${home:-}" ] && [ -d "$home/runtime" ] && jvm_try runtime "$home/runtime"; then
    return 0
  fi
  if [ -n "${JAVA_HOME:-}" ] && jvm_try JAVA_HOME "$JAVA_HOME"; then return 0; fi
  java=$(command -v java) && java=$(readlink -f "$java") || java=
  if [ -n "$java" ] && jvm_try 'java on PATH' "${java%/bin/java}"; then return 0; fi
  for dir in /usr/lib/jvm/*; do
    if [ -d "$dir" ] && [ ! -h "$dir" ] && jvm_try /usr/lib/jvm "$dir"; then return 0; fi
  done
  return 1
}

# jvm_missing: says on standard error where jvm_find looked and what to do.
jvm_missing() {
  cat >&2 <<END
forkd: no JDK 25 or newer (with $jvm_tool) was found.
Looked at FORKD_JAVA_HOME, JAVA_HOME, the java on PATH and /usr/lib/jvm/*:${jvm_seen:-
  nothing there}
What to do: install a JDK 25, for example Eclipse Temurin (Debian 12 has no package of its own):
  - unpack https://adoptium.net/temurin/releases/?version=25 into /usr/lib/jvm, or anywhere else
    and set FORKD_JAVA_HOME to that directory; or
  - add Adoptium's apt repository (https://adoptium.net/installation/linux) and
    apt-get install temurin-25-jdk
END
}

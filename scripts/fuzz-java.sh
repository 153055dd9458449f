#!/bin/sh
# Coverage-guided fuzzing of what reads strangers' bytes in the daemon, with Jazzer (libFuzzer for
# the JVM): frames, recipes, archives, the REST interface.
#   scripts/fuzz-java.sh SECONDS [TARGET...]      targets: frame recipe tar rest
# Starts from src/test/resources/fuzz/TARGET and keeps what it learns in target/fuzz/TARGET. What it
# finds is written there as crash-*: mend it, and keep the input in src/test/resources/fuzz/TARGET.
set -eu
cd "$(dirname "$0")/.."
JAZZER=0.30.0
. scripts/jvm.sh
jvm_find java || jvm_missing
java=$jvm/bin/java
seconds=${1:?how many seconds for each target?}
shift
[ $# -gt 0 ] || set -- frame recipe tar rest

class_of() { # TARGET
  case $1 in
    frame) echo dev.forkd.frame.FrameFuzzTarget ;;
    recipe) echo dev.forkd.image.RecipeFuzzTarget ;;
    tar) echo dev.forkd.archive.TarFuzzTarget ;;
    rest) echo dev.forkd.api.RestFuzzTarget ;;
    *)
      echo "fuzz: no target '$1'; there are frame, recipe, tar and rest" >&2
      exit 2
      ;;
  esac
}

mkdir -p target/fuzz/lib
JAVA_HOME=$jvm mvn -B -ntp -q test-compile dependency:build-classpath \
  -Dmdep.includeScope=test -Dmdep.outputFile=target/fuzz/classpath
for jar in jazzer jazzer-api; do
  [ -e "target/fuzz/lib/$jar-$JAZZER.jar" ] || JAVA_HOME=$jvm mvn -B -ntp -q dependency:copy \
    -Dartifact="com.code-intelligence:$jar:$JAZZER" -DoutputDirectory=target/fuzz/lib
done
path="target/classes:target/test-classes:target/fuzz/lib/*:$(cat target/fuzz/classpath)"
for target; do
  class=$(class_of "$target")
  mkdir -p "target/fuzz/$target"
  echo "fuzz: $target for $seconds s" >&2
  "$java" --enable-native-access=ALL-UNNAMED --sun-misc-unsafe-memory-access=allow \
    -XX:+EnableDynamicAgentLoading -Xmx1500m -cp "$path" com.code_intelligence.jazzer.Jazzer \
    --target_class="$class" --instrumentation_includes='dev.forkd.**' \
    --reproducer_path="target/fuzz/$target" -artifact_prefix="target/fuzz/$target/" \
    -max_total_time="$seconds" -timeout=20 -rss_limit_mb=4096 -max_len=8192 -print_final_stats=1 \
    "target/fuzz/$target" "src/test/resources/fuzz/$target" 2>"target/fuzz/$target.log" || {
    tail -40 "target/fuzz/$target.log" >&2
    echo "fuzz: $target found something: target/fuzz/$target.log" >&2
    exit 1
  }
  grep -E '^(#[0-9]+.DONE|stat::number_of_executed_units)' "target/fuzz/$target.log" >&2
done

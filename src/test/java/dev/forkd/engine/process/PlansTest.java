package dev.forkd.engine.process;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.forkd.engine.ForkPlan;
import dev.forkd.engine.WarmPlan;
import dev.forkd.frame.FieldKey;
import dev.forkd.frame.Fields;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Limits;
import dev.forkd.model.Network;
import dev.forkd.model.Recipe;
import dev.forkd.model.RootImage;
import dev.forkd.model.SandboxId;
import dev.forkd.model.SystemCalls;
import dev.forkd.model.Tag;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What plans become on the wire, without a kernel. */
class PlansTest {
  private static final ProcessPaths PATHS =
      new ProcessPaths(Path.of("/bin/l"), Path.of("/py"), Path.of("/run"), "t");

  @Test
  void aTemplateIsDescribedInFull() {
    Fields fields = TemplateFields.template("t1-x", plan(true), 65_536, PATHS);
    assertThat(fields.text(FieldKey.NAME)).isEqualTo("t1-x");
    assertThat(fields.texts(FieldKey.ARGV))
        .containsExactly("/usr/bin/python3", "-m", "forkd_runtime.zygote");
    assertThat(fields.text(FieldKey.FRONT)).isEqualTo("/bin/forkd-python");
    assertThat(fields.texts(FieldKey.HIDDEN)).containsExactly("/root");
    assertThat(fields.texts(FieldKey.WRITABLE)).containsExactly("/tmp");
    assertThat(fields.integer(FieldKey.TIMEOUT_MS, 0, 0, 99_999)).isEqualTo(60_000);
    assertThat(fields.texts(FieldKey.ENV))
        .contains("PYTHONPATH=/.forkd/python:/mine", "HOME=/else", "OMP_NUM_THREADS=1");
    List<Fields> layers = fields.nested(FieldKey.LAYER);
    assertThat(layers).hasSize(2);
    assertThat(layers.get(0).text(FieldKey.PATH)).isEqualTo("/files");
    assertThat(layers.get(0).flag(FieldKey.IDMAP)).isTrue();
    assertThat(layers.get(0).flag(FieldKey.COPY)).isTrue();
    assertThat(layers.get(1).flag(FieldKey.IDMAP)).isFalse();
  }

  @Test
  void theWarmUpIsTheDocumentedJson() {
    Fields fields = TemplateFields.template("t", plan(true), 65_536, PATHS);
    assertThat(new String(fields.bytes(FieldKey.DATA), UTF_8))
        .isEqualTo(
            """
            {"imports":["numpy"],"script":"x = \\"ä\\"","script_name":"warm.py",\
            "functions":["a:b"],"path":["/p"],"workdir":"/w","seed":7,"unsafe":"refuse",\
            "allow":["socket"],"before_snapshot":"a()","after_fork":"b()","hook_ms":70,\
            "exec":true}\
            """);
  }

  @Test
  void withoutARuntimeThereIsNothingToExecute() {
    Fields fields = TemplateFields.template("t", plan(false), 65_536, PATHS);
    assertThat(fields.has(FieldKey.ARGV)).isFalse();
    assertThat(fields.has(FieldKey.FRONT)).isFalse();
    assertThat(fields.has(FieldKey.DATA)).isFalse();
  }

  @Test
  void aBatchIsOneFrameHoweverLarge() {
    List<ForkPlan.Child> children = new ArrayList<>();
    for (int i = 0; i < 1_000; i++) {
      children.add(new ForkPlan.Child(SandboxId.of(1, i), "0".repeat(32)));
    }
    Limits limits = new Limits(4 << 20, 5, 10, 1 << 20, 2 << 20, 3 << 20, 0, 70);
    Fields fields = TemplateFields.fork("t", new ForkPlan(children, limits, Duration.ofSeconds(3)));
    assertThat(fields.nested(FieldKey.CHILD)).hasSize(1_000);
    assertThat(fields.nested(FieldKey.CHILD).getLast().text(FieldKey.HOSTNAME))
        .isEqualTo("sb-1-03e7");
    assertThat(fields.integer(FieldKey.SHM_BYTES, 0, 0, 1L << 40)).isEqualTo(3 << 20);
    assertThat(fields.integer(FieldKey.IO_WEIGHT, 0, 0, 1_000)).isEqualTo(70);
    assertThat(fields.integer(FieldKey.TIMEOUT_MS, 0, 0, 9_999)).isEqualTo(3_000);
  }

  @Test
  void programsDoNotSeeTheRuntimesSearchPath() {
    assertThat(Environment.ofPrograms(plan(true), "sb-1"))
        .containsEntry("PYTHONPATH", "/mine")
        .containsEntry("HOSTNAME", "sb-1")
        .containsEntry("HOME", "/else")
        .containsEntry("LANG", "C.UTF-8");
  }

  @Test
  void everyTemplateHasUidsOfItsOwn() {
    UidRanges ranges = new UidRanges();
    Set<Long> taken = new HashSet<>();
    for (int i = 0; i < 4_000; i++) {
      long first = ranges.take();
      assertThat(first % UidRanges.SIZE).isZero();
      assertThat(first + UidRanges.SIZE).isLessThan(1L << 31);
      taken.add(first);
    }
    assertThat(taken).hasSize(4_000);
    assertThatThrownBy(ranges::take)
        .isInstanceOfSatisfying(
            ForkdException.class, e -> assertThat(e.kind()).isEqualTo(FailureKind.EXHAUSTED));
    long again = taken.iterator().next();
    ranges.release(again);
    assertThat(ranges.take()).isEqualTo(again);
  }

  @ParameterizedTest
  @ValueSource(strings = {"5.19", "5.19.0-generic", "6.1.0-13-amd64", "10.0"})
  void newKernelsWillDo(String version) {
    assertThatCode(() -> Host.checkKernel(version)).doesNotThrowAnyException();
  }

  @ParameterizedTest
  @ValueSource(strings = {"5.18.19", "4.19.0-amd64", "3.10", "odd"})
  void oldKernelsWillNot(String version) {
    assertThatThrownBy(() -> Host.checkKernel(version))
        .isInstanceOfSatisfying(
            ForkdException.class, e -> assertThat(e.kind()).isEqualTo(FailureKind.UNSUPPORTED))
        .hasMessageContaining(version);
  }

  @Test
  void theLaunchersReportBecomesCapabilities() {
    Host host =
        Host.of("{\"kernel\":\"6.1\",\"controllers\":[\"memory\",\"pids\"],\"pid\":7,\"ok\":true}");
    assertThat(host.capabilities().memoryLimit()).isTrue();
    assertThat(host.capabilities().pidsLimit()).isTrue();
    assertThat(host.capabilities().cpuLimit()).isFalse();
    assertThat(host.capabilities().facts())
        .containsEntry("kernel", "6.1")
        .containsEntry("pid", "7");
  }

  @Test
  void linesComeOutHoweverTheirBytesArrive() {
    List<String> lines = new ArrayList<>();
    LineSplitter splitter = new LineSplitter(lines::add);
    byte[] bytes = "größe\r\n\nlast".getBytes(UTF_8);
    for (byte b : bytes) {
      splitter.add(new byte[] {b});
    }
    assertThat(lines).containsExactly("größe", "");
    splitter.end();
    splitter.end();
    splitter.add(new byte[10_000]);
    assertThat(lines).hasSize(5).contains("last");
    assertThat(lines.getLast()).hasSize(4_096);
  }

  private static WarmPlan plan(boolean runtime) {
    RootImage image =
        new RootImage(
            "d",
            List.of(
                new RootImage.Layer(Path.of("/files"), true, true),
                new RootImage.Layer(Path.of("/"), false, false)),
            List.of("/root"),
            List.of("/tmp"));
    Recipe.WarmUp warm =
        new Recipe.WarmUp(
            List.of("numpy"),
            "x = \"ä\"",
            List.of("a:b"),
            List.of("/p"),
            Optional.of(7L),
            List.of("socket"),
            Duration.ofSeconds(60),
            new Recipe.Hooks("a()", "b()", Duration.ofMillis(70)));
    Optional<Recipe.RuntimeSpec> spec =
        runtime
            ? Optional.of(new Recipe.RuntimeSpec("python", "/usr/bin/python3"))
            : Optional.empty();
    Map<String, String> env = Map.of("HOME", "/else", "PYTHONPATH", "/mine");
    return new WarmPlan(
        new Tag("x"), image, spec, warm, "/w", env, Limits.DEFAULT, SystemCalls.NONE, Network.NONE);
  }
}

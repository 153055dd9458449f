package dev.forkd.engine.vm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.forkd.model.Network;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** QEMU's arguments, word by word: one line of a golden file each. */
class MachineTest {
  private static final Path GOLDEN = Path.of("src/test/resources/dev/forkd/engine/vm");
  private static final long TSC_KHZ = 2_445_400;

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void templatesAreStartedLikeThis(boolean kvm) throws IOException {
    assertGolden("template", kvm, machine(kvm).template("qemu", "forkd-x-t1", TSC_KHZ));
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void childrenAreStartedLikeThis(boolean kvm) throws IOException {
    assertGolden("child", kvm, machine(kvm).child("qemu", "forkd-x-sb-1"));
  }

  @Test
  void theProbeIsStartedLikeThis() throws IOException {
    assertGolden("probe", true, Machine.probe("qemu", "/vmlinuz", "/initramfs"));
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void bothHaveTheSameDevicesInTheSameOrder(boolean kvm) {
    assertThat(devices(machine(kvm).child("qemu", "a")))
        .isEqualTo(devices(machine(kvm).template("qemu", "b", TSC_KHZ)))
        .hasSize(6)
        .noneMatch(device -> device.contains("balloon"));
  }

  @Test
  void aNetworkCardIsTheLastDeviceAndItsBackendMayDiffer() throws IOException {
    Machine machine = new Machine(false, 2, 512, 1, Network.NAT);
    List<String> template = machine.template("qemu", "forkd-x-t1", TSC_KHZ);
    List<String> child = machine.child("qemu", "forkd-x-sb-1");
    assertGolden("template-network", false, template);
    assertGolden("child-network", false, child);
    assertThat(devices(child)).isEqualTo(devices(template));
    assertThat(devices(child).getLast()).startsWith("virtio-net-device,");
  }

  private static Machine machine(boolean kvm) {
    return new Machine(kvm, 1, 512, 2, Network.NONE);
  }

  private static List<String> devices(List<String> args) {
    return java.util.stream.IntStream.range(1, args.size())
        .filter(i -> args.get(i - 1).equals("-device"))
        .mapToObj(args::get)
        .toList();
  }

  private static void assertGolden(String what, boolean kvm, List<String> args) throws IOException {
    Path file = GOLDEN.resolve(what + (kvm ? "-kvm" : "-tcg") + ".args");
    if (Boolean.getBoolean("forkd.golden.write")) {
      Files.write(file, args);
    }
    assertThat(args).as("%s", file).isEqualTo(Files.readAllLines(file));
  }
}

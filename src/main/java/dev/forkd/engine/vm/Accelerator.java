package dev.forkd.engine.vm;

import dev.forkd.model.ForkdException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;

/**
 * How guests are run here.
 *
 * @param kvm by the processor; otherwise emulated, ten to thirty times slower
 * @param reason for people
 */
record Accelerator(boolean kvm, String reason) {
  private static final Path DEVICE = Path.of("/dev/kvm");
  private static final Duration DEADLINE = Duration.ofSeconds(20);
  private static final String PROOF = "the kernel boots";

  /** Boots a kernel: a /dev/kvm that can be opened may still be unable to run one. */
  static Accelerator probe(VmPaths paths, GuestKernel kernel, Path scratch) {
    if (!Files.isReadable(DEVICE) || !Files.isWritable(DEVICE)) {
      return new Accelerator(false, DEVICE + " cannot be opened; guests are emulated");
    }
    Path initramfs = scratch.resolve("probe.initramfs");
    try {
      GuestSpec.writeProbe(initramfs, paths);
      List<String> args =
          Machine.probe(paths.qemu().toString(), kernel.image().toString(), initramfs.toString());
      String said = Tool.run(args, DEADLINE);
      return said.contains(PROOF)
          ? new Accelerator(true, "KVM booted a kernel")
          : new Accelerator(false, "KVM started a kernel that did not boot; guests are emulated");
    } catch (ForkdException e) {
      String detail = e.failure().detail().strip();
      String last = detail.substring(detail.lastIndexOf('\n') + 1);
      return new Accelerator(
          false,
          DEVICE
              + " opens but cannot run a kernel ("
              + e.getMessage()
              + (last.isEmpty() ? "" : ": " + last)
              + "); guests are emulated");
    } catch (IOException e) {
      return new Accelerator(false, "KVM could not be tried (" + e + "); guests are emulated");
    } finally {
      initramfs.toFile().delete();
    }
  }
}

package dev.forkd.engine.vm;

import dev.forkd.host.Tool;
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
  private static final Duration TINY = Duration.ofSeconds(10);
  private static final String PROOF = "the kernel boots";

  /**
   * Runs a guest of a few instructions: milliseconds, and needs no kernel. Says whether more is
   * worth trying.
   */
  static Accelerator tiny(VmPaths paths) {
    if (!Files.isReadable(DEVICE) || !Files.isWritable(DEVICE)) {
      return new Accelerator(false, DEVICE + " cannot be opened; guests are emulated");
    }
    try {
      return new Accelerator(
          true, Tool.run(List.of(paths.wrapper().toString(), "kvm"), TINY).strip());
    } catch (ForkdException e) {
      return new Accelerator(false, unusable(e));
    }
  }

  /** Boots a kernel: a /dev/kvm that can be opened may still be unable to run one. */
  static Accelerator probe(VmPaths paths, GuestKernel kernel, Path scratch) {
    Accelerator tiny = tiny(paths);
    if (!tiny.kvm()) {
      return tiny;
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
      return new Accelerator(false, unusable(e));
    } catch (IOException e) {
      return new Accelerator(false, "KVM could not be tried (" + e + "); guests are emulated");
    } finally {
      initramfs.toFile().delete();
    }
  }

  private static String unusable(ForkdException e) {
    String detail = e.failure().detail().strip();
    String last = detail.substring(detail.lastIndexOf('\n') + 1);
    return "%s opens but cannot run a kernel (%s); guests are emulated"
        .formatted(DEVICE, last.isEmpty() ? e.getMessage() : last);
  }
}

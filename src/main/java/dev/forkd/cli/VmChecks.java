package dev.forkd.cli;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** What the vm engine needs. Nothing of it fails the machine: the process engine needs none. */
final class VmChecks {
  private static final Path DEVICE = Path.of("/dev/kvm");
  private static final String KERNEL = "linux-image-cloud-amd64";
  private static final String SETUP = "scripts/setup.sh --yes vm";

  private final Path home;

  VmChecks(Path home) {
    this.home = home;
  }

  List<Check> all() {
    return List.of(kvm(), qemu(), kernel(), tools());
  }

  private Check kvm() {
    if (!Files.exists(DEVICE)) {
      return Check.warn(
          "kvm",
          DEVICE + " is absent: virtual machines are emulated, ten to thirty times slower",
          "load the module kvm_intel or kvm_amd, or switch nested virtualization on");
    }
    if (!Files.isReadable(DEVICE) || !Files.isWritable(DEVICE)) {
      return Check.warn("kvm", DEVICE + " cannot be opened", "run as root");
    }
    HostChecks.Said said = HostChecks.said(home.resolve("native/build/forkd-vm").toString(), "kvm");
    return said.well()
        ? Check.pass("kvm", said.line() + "; the first snapshot also boots a kernel to be sure")
        : Check.warn(
            "kvm",
            DEVICE + " opens but cannot run a kernel: " + said.line().replace("forkd-vm: ", ""),
            "none here; `engine: auto` means process, and `engine: vm` emulates its guests");
  }

  private static Check qemu() {
    String version = HostChecks.output("/usr/bin/qemu-system-x86_64", "--version");
    return version.isEmpty()
        ? Check.warn("qemu", "missing: only the vm engine needs it", SETUP)
        : Check.pass("qemu", version);
  }

  private static Check kernel() {
    String depends = HostChecks.output("apt-cache", "depends", "--important", KERNEL);
    return depends.isEmpty()
        ? Check.warn(
            "guest kernel",
            "the package lists have no " + KERNEL + ": only the vm engine needs it",
            "apt-get update, on Debian")
        : Check.pass("guest kernel", KERNEL + "; fetched when it is first used, not installed");
  }

  private static Check tools() {
    for (String tool : List.of("/usr/sbin/mke2fs", "/usr/sbin/nft")) {
      if (!Files.isExecutable(Path.of(tool))) {
        return Check.warn("vm tools", tool + " is missing: only the vm engine needs it", SETUP);
      }
    }
    return Check.pass("vm tools", "mke2fs, nft");
  }
}

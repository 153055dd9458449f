package dev.forkd.engine.vm;

import dev.forkd.json.Json;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Network;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * A virtual machine as QEMU's arguments; pure data. Template and children must have the same
 * devices in the same order: QEMU itself checks too little of that (a disk or CPU that differs is
 * accepted and the guest reads garbage).
 *
 * @param kvm whether the processor runs it; otherwise it is emulated
 * @param cpus processors
 * @param memoryMib RAM
 * @param layers how many read-only disks
 * @param network what its network card is connected with; without one there is no card
 */
record Machine(boolean kvm, int cpus, int memoryMib, int layers, Network network) {
  /** Descriptors that {@code forkd-vm run} opens for QEMU, which could not by itself. */
  static final int AGENT_FD = 10;

  static final int MEMORY_FD = 11;
  static final int LOG_FD = 12;
  static final int MONITOR_FD = 13;
  static final int CONSOLE_FD = 14;
  static final int STATE_FD = 15;
  static final int KERNEL_FD = 16;
  static final int INITRAMFS_FD = 17;
  static final int TAP_FD = 18;
  static final int FIRST_LAYER_FD = 20;

  /** What the library for QEMU looks for (native/preload/memory.c). */
  static final int MAP_FD = 36;

  static final int LIBRARY_FD = 37;
  static final int FIRST_PAGES_FD = 40;

  /** Translated code of one child, in MiB; a larger cache gains little and every child fills it. */
  private static final int TRANSLATED_MIB = 64;

  private static final String SANDBOX =
      "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny";

  boolean hasNetwork() {
    return network != Network.NONE;
  }

  /** As {@link #of} reads it. */
  ObjectNode json() {
    ObjectNode json = Json.object();
    json.put("kvm", kvm);
    json.put("cpus", cpus);
    json.put("memory_mib", memoryMib);
    json.put("layers", layers);
    json.put("network", network.name());
    return json;
  }

  /** A machine that was written down; ENGINE when that is damaged. */
  static Machine of(JsonNode json) {
    String network = json.path("network").asString("");
    return new Machine(
        json.path("kvm").asBoolean(false),
        json.path("cpus").asInt(0),
        json.path("memory_mib").asInt(0),
        json.path("layers").asInt(0),
        Arrays.stream(Network.values())
            .filter(known -> known.name().equals(network))
            .findFirst()
            .orElseThrow(() ->
                new ForkdException(
                    FailureKind.ENGINE, "a snapshot's manifest is damaged: network " + network)));
  }

  /** What {@code forkd-vm run} has to give its QEMU beside files. */
  List<String> lent() {
    return kvm ? List.of("kvm") : List.of();
  }

  /** The same machine as it would be on another host. */
  Machine on(boolean otherKvm, int otherLayers) {
    return new Machine(otherKvm, cpus, memoryMib, otherLayers, network);
  }

  long memoryBytes() {
    return (long) memoryMib << 20;
  }

  /** Arguments of the machine that is warmed. */
  List<String> template(String qemu, String name, long tscKhz) {
    List<String> args = common(qemu, name, "on");
    args.addAll(List.of("-add-fd", set(CONSOLE_FD)));
    args.addAll(List.of("-chardev", "file,id=ser0,path=/dev/fdset/" + CONSOLE_FD));
    args.addAll(List.of("-chardev", "socket,id=log0,fd=" + LOG_FD));
    // A hub without another end: what is behind the card may differ in every child.
    network(args, "hubport,id=net0,hubid=0");
    devices(args);
    boot(args, "/proc/self/fd/" + KERNEL_FD, "/proc/self/fd/" + INITRAMFS_FD, tscKhz);
    return List.copyOf(args);
  }

  /** Arguments of a copy; stdin is the saved state of the devices. It starts by itself. */
  List<String> child(String qemu, String name) {
    List<String> args = common(qemu, name, "off");
    args.addAll(List.of("-chardev", "socket,id=ser0,fd=" + CONSOLE_FD));
    args.addAll(List.of("-chardev", "null,id=log0"));
    network(args, "tap,id=net0,fd=" + TAP_FD);
    devices(args);
    args.addAll(List.of("-global", "migration.send-configuration=off", "-incoming", "fd:0"));
    return List.copyOf(args);
  }

  /** Arguments of a machine that only boots, says so on stdout and ends. */
  static List<String> probe(String qemu, String kernel, String initramfs) {
    Machine machine = new Machine(true, 1, 128, 0, Network.NONE);
    List<String> args = new ArrayList<>(machine.base(qemu, "forkd-probe"));
    args.addAll(List.of("-M", "microvm,acpi=on,rtc=on,isa-serial=on", "-serial", "stdio"));
    machine.boot(args, kernel, initramfs, 0);
    return List.copyOf(args);
  }

  private List<String> base(String qemu, String name) {
    return List.of(
        qemu,
        "-name",
        name,
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-no-reboot",
        "-accel",
        kvm ? "kvm" : emulation(),
        "-cpu",
        kvm ? "host" : "max",
        "-smp",
        Integer.toString(cpus),
        "-m",
        Integer.toString(memoryMib));
  }

  /**
   * Processors on threads of their own make QEMU miss that one of them patched the kernel's code
   * while another translated it: the guest then stands still for good (docs/adr/0061).
   */
  private String emulation() {
    return "tcg,thread=%s,tb-size=%d".formatted(cpus > 1 ? "single" : "multi", TRANSLATED_MIB);
  }

  private List<String> common(String qemu, String name, String share) {
    List<String> args = new ArrayList<>(base(qemu, name));
    args.addAll(
        List.of(
            "-sandbox",
            SANDBOX,
            "-M",
            "microvm,acpi=on,rtc=on,isa-serial=on,memory-backend=mem0",
            "-object",
            "memory-backend-file,id=mem0,size=%dM,mem-path=/proc/self/fd/%d,share=%s"
                .formatted(memoryMib, MEMORY_FD, share)));
    for (int i = 0; i < layers; i++) {
      args.addAll(List.of("-add-fd", set(FIRST_LAYER_FD + i)));
    }
    args.addAll(List.of("-add-fd", set(STATE_FD)));
    args.addAll(List.of("-chardev", "socket,id=agent0,fd=" + AGENT_FD));
    args.addAll(
        List.of(
            "-chardev", "socket,id=qmp0,fd=" + MONITOR_FD, "-mon", "chardev=qmp0,mode=control"));
    return args;
  }

  private void network(List<String> args, String backend) {
    if (hasNetwork()) {
      args.addAll(List.of("-netdev", backend));
    }
  }

  // No balloon and no free page reporting: they punch holes into memory that siblings share.
  private void devices(List<String> args) {
    args.addAll(
        List.of(
            "-serial", "chardev:ser0",
            "-device", "virtio-serial-device,id=vser0,max_ports=3",
            "-device", "virtserialport,chardev=agent0,name=forkd.agent,id=port0",
            "-device", "virtserialport,chardev=log0,name=forkd.log,id=port1"));
    for (int i = 0; i < layers; i++) {
      args.addAll(
          List.of(
              "-blockdev",
              "driver=file,node-name=file%d,filename=/dev/fdset/%d,read-only=on,"
                      .formatted(i, FIRST_LAYER_FD + i)
                  + "auto-read-only=off,locking=off,cache.direct=off",
              "-blockdev",
              "driver=raw,node-name=disk%1$d,file=file%1$d,read-only=on".formatted(i),
              "-device",
              "virtio-blk-device,drive=disk%1$d,id=blk%1$d".formatted(i)));
    }
    args.addAll(
        List.of(
            "-object", "rng-random,id=rng0,filename=/dev/urandom",
            "-device", "virtio-rng-device,rng=rng0,id=vrng0"));
    if (hasNetwork()) {
      // The guest keeps this address whatever a child's line says; each has a network of its own.
      args.addAll(
          List.of("-device", "virtio-net-device,netdev=net0,mac=02:66:6b:64:00:02,id=nic0"));
    }
  }

  private void boot(List<String> args, String kernel, String initramfs, long tscKhz) {
    // The timer's test expects ticks at a rate that a busy host does not give.
    String append =
        "console=ttyS0 quiet loglevel=3 panic=-1 reboot=t mitigations=off random.trust_cpu=on"
            + " no_timer_check cryptomgr.notests"
            + (kvm ? "" : " tsc=reliable tsc_early_khz=" + tscKhz);
    args.addAll(List.of("-kernel", kernel, "-initrd", initramfs, "-append", append));
  }

  private static String set(int fd) {
    return "fd=%1$d,set=%1$d".formatted(fd);
  }
}

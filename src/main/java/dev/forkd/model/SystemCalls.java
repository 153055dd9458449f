package dev.forkd.model;

import java.util.List;
import java.util.Set;
import java.util.TreeSet;

/**
 * System calls that sandboxes are refused unless their recipe asks for them.
 *
 * @param asked by their names in the kernel, in the recipe's order
 */
public record SystemCalls(List<String> asked) {
  /** None of them. */
  public static final SystemCalls NONE = new SystemCalls(List.of());

  // As in native/common/seccomp.c and docs/security.md: test_seccomp_table.py compares them.
  private static final Set<String> ASKABLE =
      Set.of(
          "unshare",
          "mount",
          "umount2",
          "pivot_root",
          "chroot",
          "ptrace",
          "process_vm_readv",
          "process_vm_writev",
          "kcmp",
          "pidfd_getfd",
          "process_madvise",
          "perf_event_open",
          "userfaultfd",
          "io_uring_setup",
          "io_uring_enter",
          "io_uring_register",
          "name_to_handle_at");

  public SystemCalls {
    asked = List.copyOf(asked);
    for (String name : asked) {
      if (!ASKABLE.contains(name)) {
        throw new ForkdException(
            FailureKind.INVALID,
            "system call \"%s\" cannot be asked for; these can: %s"
                .formatted(name, String.join(", ", new TreeSet<>(ASKABLE))));
      }
    }
  }
}

#define _GNU_SOURCE
#include "seccomp.h"

#include <linux/audit.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#else
#error "no system-call list for this architecture"
#endif

// The numbers above 424 are the same everywhere; musl 1.2.3 does not name the youngest.
enum {
  NR_LAST_KNOWN = 450, // set_mempolicy_home_node
  NR_CACHESTAT = 451,
  NR_FCHMODAT2 = 452,
  NR_MSEAL = 462,
  TTY_PUSH_INPUT = 0x5412,   // TIOCSTI: types into the terminal of someone else
  TTY_LINUX_CONSOLE = 0x541C, // TIOCLINUX: the same by pasting
};

enum action { ALLOW, REFUSE, UNKNOWN, KILL, CHECK_CLONE, CHECK_SOCKET, CHECK_IOCTL,
              CHECK_PERSONALITY, ACTIONS };

struct rule {
  unsigned nr;
  enum action action;
};

// clang-format off
static const struct rule rules[] = {
  {SYS_clone, CHECK_CLONE}, {SYS_socket, CHECK_SOCKET}, {SYS_ioctl, CHECK_IOCTL},
  {SYS_personality, CHECK_PERSONALITY}, {SYS_clone3, UNKNOWN},
  {SYS_setns, REFUSE}, {SYS_unshare, REFUSE}, {SYS_mount, REFUSE}, {SYS_umount2, REFUSE},
  {SYS_pivot_root, REFUSE}, {SYS_chroot, REFUSE}, {SYS_open_tree, REFUSE},
  {SYS_move_mount, REFUSE}, {SYS_fsopen, REFUSE}, {SYS_fsconfig, REFUSE}, {SYS_fsmount, REFUSE},
  {SYS_fspick, REFUSE}, {SYS_mount_setattr, REFUSE}, {SYS_ptrace, REFUSE},
  {SYS_process_vm_readv, REFUSE}, {SYS_process_vm_writev, REFUSE}, {SYS_kcmp, REFUSE},
  {SYS_pidfd_getfd, REFUSE}, {SYS_process_madvise, REFUSE}, {SYS_move_pages, REFUSE},
  {SYS_migrate_pages, REFUSE}, {SYS_init_module, REFUSE}, {SYS_finit_module, REFUSE},
  {SYS_delete_module, REFUSE}, {SYS_kexec_load, REFUSE}, {SYS_add_key, REFUSE},
  {SYS_request_key, REFUSE}, {SYS_keyctl, REFUSE}, {SYS_bpf, REFUSE},
  {SYS_perf_event_open, REFUSE}, {SYS_userfaultfd, REFUSE}, {SYS_io_uring_setup, REFUSE},
  {SYS_io_uring_enter, REFUSE}, {SYS_io_uring_register, REFUSE}, {SYS_fanotify_init, REFUSE},
  {SYS_open_by_handle_at, REFUSE}, {SYS_name_to_handle_at, REFUSE}, {SYS_lookup_dcookie, REFUSE},
  {SYS_quotactl, REFUSE}, {443 /* quotactl_fd */, REFUSE}, {SYS_swapon, REFUSE},
  {SYS_swapoff, REFUSE}, {SYS_reboot, REFUSE}, {SYS_syslog, REFUSE}, {SYS_acct, REFUSE},
  {SYS_vhangup, REFUSE}, {SYS_sethostname, REFUSE}, {SYS_setdomainname, REFUSE},
  {SYS_settimeofday, REFUSE}, {SYS_clock_settime, REFUSE}, {SYS_clock_adjtime, REFUSE},
  {SYS_adjtimex, REFUSE}, {SYS_nfsservctl, REFUSE},
#ifdef SYS_kexec_file_load
  {SYS_kexec_file_load, REFUSE},
#endif
#ifdef __x86_64__
  {SYS_iopl, REFUSE}, {SYS_ioperm, REFUSE}, {SYS_modify_ldt, REFUSE}, {SYS_uselib, REFUSE},
  {SYS_ustat, REFUSE}, {SYS_sysfs, REFUSE}, {SYS__sysctl, REFUSE}, {SYS_create_module, REFUSE},
  {SYS_get_kernel_syms, REFUSE}, {SYS_query_module, REFUSE},
#endif
  {NR_LAST_KNOWN + 1, UNKNOWN}, {NR_CACHESTAT, ALLOW}, {NR_FCHMODAT2, ALLOW}, {NR_MSEAL, ALLOW},
};

// What a recipe may ask for: of no use against the host without a capability there, or reached by a
// bug of the kernel only, which is the price.
#define CALL(name) {#name, SYS_##name}
static const struct {
  const char *name;
  unsigned nr;
} askable[] = {
  CALL(unshare), CALL(mount), CALL(umount2), CALL(pivot_root), CALL(chroot), CALL(ptrace),
  CALL(process_vm_readv), CALL(process_vm_writev), CALL(kcmp), CALL(pidfd_getfd),
  CALL(process_madvise), CALL(perf_event_open), CALL(userfaultfd), CALL(io_uring_setup),
  CALL(io_uring_enter), CALL(io_uring_register), CALL(name_to_handle_at),
};
// clang-format on

enum { RULES = sizeof rules / sizeof *rules, SPANS_MAX = 2 * RULES + 2 };

// All numbers from `first` to the next span's first have one action.
struct span {
  unsigned first;
  enum action action;
};

// Jumps only go forward, so the program is written from its end: a label is the count of
// instructions that follow it, and is known before anything that jumps there.
struct assembler {
  struct sock_filter reversed[FILTER_MAX];
  size_t length;
  size_t labels[ACTIONS];
};

static size_t emit(struct assembler *a, struct sock_filter instruction) {
  if (a->length == FILTER_MAX) abort(); // the table above outgrew the format: a bug, seen by tests
  a->reversed[a->length] = instruction;
  return a->length++;
}

static size_t emit_jump(struct assembler *a, uint16_t test, uint32_t k, size_t yes, size_t no) {
  size_t here = a->length;
  return emit(a, (struct sock_filter){.code = BPF_JMP | BPF_K | test,
                                      .k = k,
                                      .jt = (uint8_t)(here - yes - 1),
                                      .jf = (uint8_t)(here - no - 1)});
}

static size_t emit_load(struct assembler *a, uint32_t offset) {
  return emit(a, (struct sock_filter){.code = BPF_LD | BPF_W | BPF_ABS, .k = offset});
}

static size_t emit_return(struct assembler *a, uint32_t value) {
  return emit(a, (struct sock_filter){.code = BPF_RET | BPF_K, .k = value});
}

// The low half of an argument: both supported machines are little endian.
static size_t emit_load_argument(struct assembler *a, size_t index) {
  return emit_load(a, (uint32_t)(offsetof(struct seccomp_data, args) + 8 * index));
}

static void emit_actions(struct assembler *a) {
  const uint32_t namespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                              CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWTIME;
  size_t *to = a->labels;
  to[KILL] = emit_return(a, SECCOMP_RET_KILL_PROCESS);
  to[UNKNOWN] = emit_return(a, SECCOMP_RET_ERRNO | ENOSYS);
  to[REFUSE] = emit_return(a, SECCOMP_RET_ERRNO | EPERM);
  to[ALLOW] = emit_return(a, SECCOMP_RET_ALLOW);
  emit_jump(a, BPF_JSET, namespaces, to[REFUSE], to[ALLOW]);
  to[CHECK_CLONE] = emit_load_argument(a, 0);
  // AF_VSOCK is not namespaced and reaches the hypervisor; AF_PACKET, AF_ALG … are not needed.
  size_t next = emit_jump(a, BPF_JEQ, AF_NETLINK, to[ALLOW], to[REFUSE]);
  next = emit_jump(a, BPF_JEQ, AF_INET6, to[ALLOW], next);
  next = emit_jump(a, BPF_JEQ, AF_INET, to[ALLOW], next);
  emit_jump(a, BPF_JEQ, AF_UNIX, to[ALLOW], next);
  to[CHECK_SOCKET] = emit_load_argument(a, 0);
  next = emit_jump(a, BPF_JEQ, TTY_LINUX_CONSOLE, to[REFUSE], to[ALLOW]);
  emit_jump(a, BPF_JEQ, TTY_PUSH_INPUT, to[REFUSE], next);
  to[CHECK_IOCTL] = emit_load_argument(a, 1);
  next = emit_jump(a, BPF_JEQ, 0xffffffff, to[ALLOW], to[REFUSE]);
  emit_jump(a, BPF_JEQ, 0, to[ALLOW], next);
  to[CHECK_PERSONALITY] = emit_load_argument(a, 0);
}

static int by_number(const void *a, const void *b) {
  const struct rule *x = a, *y = b;
  if (x->nr != y->nr) return x->nr < y->nr ? -1 : 1;
  return 0;
}

static void add_span(struct span *spans, size_t *count, unsigned first, enum action action) {
  if (*count && spans[*count - 1].first == first) --*count; // the later rule wins
  if (*count && spans[*count - 1].action == action) return;
  spans[(*count)++] = (struct span){first, action};
}

enum { ASKABLE = sizeof askable / sizeof *askable };

static bool is_asked(const struct filter_choice *choice, unsigned nr) {
  bool found = false;
  for (char *const *at = choice->asked; at && *at && !found; at++)
    for (size_t i = 0; i < ASKABLE && !found; i++)
      found = askable[i].nr == nr && strcmp(askable[i].name, *at) == 0;
  return found;
}

static enum action choose(const struct filter_choice *choice, const struct rule *rule) {
  if (rule->nr == SYS_setns && choice->setns) return ALLOW;
  // Whoever may unshare namespaces may as well clone into new ones.
  if (rule->nr == SYS_clone && is_asked(choice, SYS_unshare)) return ALLOW;
  return is_asked(choice, rule->nr) ? ALLOW : rule->action;
}

static size_t make_spans(struct span *spans, const struct filter_choice *choice) {
  struct rule sorted[RULES];
  size_t count = 0;
  memcpy(sorted, rules, sizeof rules);
  qsort(sorted, RULES, sizeof *sorted, by_number);
  add_span(spans, &count, 0, ALLOW);
  for (size_t i = 0; i < RULES; i++) {
    unsigned nr = sorted[i].nr;
    add_span(spans, &count, nr, choose(choice, &sorted[i]));
    add_span(spans, &count, nr + 1, nr < NR_LAST_KNOWN ? ALLOW : UNKNOWN);
  }
  return count;
}

static size_t emit_search(struct assembler *a, const struct span *spans, size_t low, size_t high) {
  if (low == high) return a->labels[spans[low].action];
  size_t middle = (low + high + 1) / 2;
  size_t right = emit_search(a, spans, middle, high);
  size_t left = emit_search(a, spans, low, middle - 1);
  return emit_jump(a, BPF_JGE, spans[middle].first, right, left);
}

static void finish(const struct assembler *a, struct filter *out) {
  for (size_t i = 0; i < a->length; i++) out->code[i] = a->reversed[a->length - 1 - i];
  out->length = a->length;
}

int filter_check(char *const *asked, struct error *e) {
  for (; *asked; asked++) {
    bool found = false;
    for (size_t i = 0; i < ASKABLE && !found; i++) found = strcmp(askable[i].name, *asked) == 0;
    if (!found) return FAIL(e, ERR_INVALID, "the system call %.64s cannot be asked for", *asked);
  }
  return 0;
}

void filter_build(struct filter *out, const struct filter_choice *choice) {
  struct assembler a = {.length = 0};
  struct span spans[SPANS_MAX];
  emit_actions(&a);
  emit_search(&a, spans, 0, make_spans(spans, choice) - 1);
  size_t numbers = emit_load(&a, offsetof(struct seccomp_data, nr));
  emit_jump(&a, BPF_JEQ, NATIVE_ARCH, numbers, a.labels[KILL]);
  emit_load(&a, offsetof(struct seccomp_data, arch));
  finish(&a, out);
}

void filter_build_no_setns(struct filter *out) {
  struct assembler a = {.length = 0};
  size_t allow = emit_return(&a, SECCOMP_RET_ALLOW);
  size_t refuse = emit_return(&a, SECCOMP_RET_ERRNO | EPERM);
  emit_jump(&a, BPF_JEQ, SYS_setns, refuse, allow);
  emit_load(&a, offsetof(struct seccomp_data, nr));
  finish(&a, out);
}

int filter_install(const struct filter *filter, struct error *e) {
  struct sock_fprog program = {.len = (unsigned short)filter->length,
                               .filter = (struct sock_filter *)(uintptr_t)filter->code};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return FAIL_ERRNO(e, "no_new_privs");
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
    return FAIL_ERRNO(e, "installing the system-call filter (%zu instructions)", filter->length);
  return 0;
}

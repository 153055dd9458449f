// Whether /dev/kvm runs a guest: a loop of privileged 64-bit code, with a deadline. A module that
// can be opened may still emulate every instruction, and a kernel would then take minutes to boot.
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "../common/cleanup.h"
#include "vm.h"

enum {
  MEMORY = 0x8000, PML4 = 0x1000, PDPT = 0x2000, PD = 0x3000, CODE = 0x4000,
  PRESENT = 1, WRITABLE = 2, LARGE = 0x80,
  CR0_PE = 1, CR0_PG = 1u << 31, CR4_PAE = 1 << 5, EFER_LME = 1 << 8, EFER_LMA = 1 << 10,
  PORT = 0x80, DEADLINE_S = 2,
  // A processor needs less than a millisecond for as many rounds, an emulator of instructions more
  // than a hundred.
  ROUNDS = 200000, SLOW_MS = 50,
  TRIES = 3, // the fastest counts: the others may have waited for a busy processor
};

// mov ecx, ROUNDS; 1: dec ecx; jnz 1b; out PORT, al; hlt
static const uint8_t code[] = {0xb9, ROUNDS & 0xff, (ROUNDS >> 8) & 0xff, ROUNDS >> 16, 0,
                               0xff, 0xc9, 0x75, 0xfc, 0xe6, PORT, 0xf4};

static void fill(uint8_t *memory) {
  uint64_t entry = PDPT | PRESENT | WRITABLE;
  memcpy(memory + PML4, &entry, sizeof entry);
  entry = PD | PRESENT | WRITABLE;
  memcpy(memory + PDPT, &entry, sizeof entry);
  entry = 0 | PRESENT | WRITABLE | LARGE;
  memcpy(memory + PD, &entry, sizeof entry);
  memcpy(memory + CODE, code, sizeof code);
}

static int enter_long_mode(int cpu, struct error *e) {
  struct kvm_sregs s;
  if (ioctl(cpu, KVM_GET_SREGS, &s) < 0) return FAIL_ERRNO(e, "KVM_GET_SREGS");
  s.cr3 = PML4;
  s.cr4 = CR4_PAE;
  s.cr0 = CR0_PE | CR0_PG;
  s.efer = EFER_LME | EFER_LMA;
  s.cs = (struct kvm_segment){.limit = ~0u, .selector = 8, .type = 11, .present = 1, .s = 1,
                              .l = 1, .g = 1};
  s.ds = s.es = s.fs = s.gs = s.ss = (struct kvm_segment){
      .limit = ~0u, .selector = 16, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1};
  return ioctl(cpu, KVM_SET_SREGS, &s) < 0 ? FAIL_ERRNO(e, "KVM_SET_SREGS") : 0;
}

static int run_to_the_end(int cpu, const struct kvm_run *run, struct error *e) {
  struct kvm_regs r = {.rip = CODE, .rflags = 2};
  if (ioctl(cpu, KVM_SET_REGS, &r) < 0) return FAIL_ERRNO(e, "KVM_SET_REGS");
  if (ioctl(cpu, KVM_RUN, 0) < 0)
    return errno == EINTR ? FAIL(e, ERR_TIMEOUT, "a loop of %d rounds was not done after %d s",
                                 ROUNDS, DEADLINE_S)
                          : FAIL_ERRNO(e, "KVM_RUN");
  if (run->exit_reason != KVM_EXIT_IO || run->io.port != PORT)
    return FAIL(e, ERR_UNSUPPORTED, "64-bit code ended with exit reason %u", run->exit_reason);
  return 0;
}

static double now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

// The shortest time of a few, in milliseconds.
static int time_code(int cpu, const struct kvm_run *run, double *took, struct error *e) {
  *took = 1e9;
  for (int i = 0; i < TRIES && *took > SLOW_MS; i++) {
    double start = now_ms();
    if (run_to_the_end(cpu, run, e) < 0) return -1;
    double passed = now_ms() - start;
    if (passed < *took) *took = passed;
  }
  return 0;
}

static int try_code(int vm, size_t run_size, double *took, struct error *e) {
  uint8_t *memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return FAIL_ERRNO(e, "mmap");
  fill(memory);
  struct kvm_userspace_memory_region region = {
      .memory_size = MEMORY, .userspace_addr = (uint64_t)(uintptr_t)memory};
  if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) < 0) return FAIL_ERRNO(e, "guest memory");
  cleanup_fd int cpu = ioctl(vm, KVM_CREATE_VCPU, 0);
  if (cpu < 0) return FAIL_ERRNO(e, "KVM_CREATE_VCPU");
  struct kvm_run *run = mmap(NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, cpu, 0);
  if (run == MAP_FAILED) return FAIL_ERRNO(e, "mmap of a vCPU");
  return enter_long_mode(cpu, e) < 0 ? -1 : time_code(cpu, run, took, e);
}

static void on_alarm(int number) { (void)number; }

int kvm_try(struct error *e) {
  cleanup_fd int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
  if (kvm < 0) return FAIL_ERRNO(e, "opening /dev/kvm");
  cleanup_fd int vm = ioctl(kvm, KVM_CREATE_VM, 0);
  int run_size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
  if (vm < 0 || run_size < 0) return FAIL_ERRNO(e, "KVM_CREATE_VM");
  // Without SA_RESTART: it ends the ioctl.
  struct sigaction action = {.sa_handler = on_alarm};
  sigaction(SIGALRM, &action, NULL);
  alarm(DEADLINE_S);
  double took = 0;
  if (try_code(vm, (size_t)run_size, &took, e) < 0) return -1;
  if (took > SLOW_MS)
    return FAIL(e, ERR_UNSUPPORTED,
                "a loop of %d rounds took %.0f ms: instructions are emulated one by one", ROUNDS,
                took);
  printf("a guest's loop took %.1f ms\n", took);
  return 0;
}

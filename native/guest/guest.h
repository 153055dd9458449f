// The first process of a virtual machine: makes a sandbox of it and starts agent and runtime there.
#pragma once
#include "../common/error.h"
#include "../common/frame.h"

// What the host put into the initramfs beside this program: one frame, its payload below. Keys 64
// and up are the launcher's (docs/process-engine.md).
enum guest_key {
  K_HIDDEN = 69, K_WRITABLE = 70, K_DISK_BYTES = 75, K_TMP_BYTES = 76, K_SHM_BYTES = 77,
  K_NETWORK = 86, K_OPEN_FILES = 95, K_SYSCALLS = 97,
};

#define GUEST_SPEC "/spec"     // absent: nothing but a proof that the kernel boots is wanted
#define GUEST_MODULES "/modules"
#define GUEST_FRONT "/front"   // forkd-python; absent: the interpreter stays where it is
#define GUEST_FORKD "/forkd"   // shown to the runtime as /.forkd: python/ and warm.json
#define GUEST_ROOT "/root"     // the sandbox's root while it is put together
#define GUEST_UPPER "/upper"
#define GUEST_LAYERS "/layers"
#define GUEST_NOTHING "/nothing" // an empty directory, read-only
#define GUEST_CGROUPS "/cgroups"

enum { GUEST_LAYERS_MAX = 8 };

struct guest_spec {
  struct buffer bytes;
  struct frame frame;
  char **modules;  // file names, in the order they are loaded
  char **argv;     // of the runtime; empty: none
  char **env;
  char **hidden;
  char **writable;
  char **syscalls; // let through the filter
  char *workdir;
  int64_t layers, disk_bytes, tmp_bytes, shm_bytes;
  int64_t network; // 1: there is a card
  int64_t open_files; // of the runtime and of each command; 0: as many as the kernel gives
};

// Reads GUEST_SPEC. -1 with ERR_NOT_FOUND when there is none.
int spec_read(struct guest_spec *out, struct error *e);

int mount_at(const char *what, const char *where, const char *type, unsigned long flags,
             const char *options, struct error *e);
// Makes a directory and its parents.
int make_directory(const char *path, struct error *e);
int write_text(const char *path, const char *text, struct error *e);

int modules_load(const struct guest_spec *spec, struct error *e);
// Mounts everything below GUEST_ROOT but /proc.
int root_make(const struct guest_spec *spec, struct error *e);
// Lets programs that start the interpreter ask the warm one first, when the host has put
// forkd-python into the initramfs; below GUEST_ROOT, before it is entered.
int front_place(const struct guest_spec *spec, struct error *e);
// Hides what of GUEST_ROOT's /proc and /sys no sandbox may see or change; both are mounted.
int masks_apply(struct error *e);
// Gives eth0 the address that it has in every sandbox.
int network_make(struct error *e);
// Opens the virtio-serial port of that name.
int port_open(const char *name, int *out, struct error *e);
// A cgroup for the sandbox; returns the directory's descriptor.
int cgroup_make(int *out, struct error *e);
// Never returns unless it fails: runs the sandbox in namespaces of its own and waits for its end.
int sandbox_run(const struct guest_spec *spec, struct error *e);

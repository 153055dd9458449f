// The layers of an image, as mounts of the holder. open_tree makes a copy of a mount that no path
// reaches; it is attached where only this family's processes are.
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../common/cleanup.h"
#include "family.h"
#include "split.h"

static int attach_tree(int tree, const struct layer *layer, int userns, const char *to,
                       struct error *e) {
  struct mount_attributes a = {.set = ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV};
  if (layer->idmap) {
    a.set |= ATTR_IDMAP;
    a.userns_fd = (uint64_t)userns;
  }
  if (sys_mount_setattr(tree, "", AT_EMPTY_PATH, &a) < 0)
    return FAIL_ERRNO(e, "%s layer %s", layer->idmap ? "id-mapping" : "setting flags of",
                      layer->path);
  return sys_move_mount(tree, AT_FDCWD, to) < 0 ? FAIL_ERRNO(e, "attaching layer %s", layer->path)
                                                : 0;
}

// What was mounted below a layer when an ordinary user's launcher left the host's namespaces cannot
// be taken apart from it (mount_namespaces(7)); an overlay does not see it.
static int attach(const struct family *f, const struct layer *layer, const char *to,
                  struct error *e) {
  const unsigned below = f->spec.ids.count == 1 ? AT_RECURSIVE : 0;
  cleanup_fd int tree =
      sys_open_tree(AT_FDCWD, layer->path, OPEN_TREE_CLONE_FLAG | O_CLOEXEC | below);
  if (tree < 0) return FAIL_ERRNO(e, "opening layer %s", layer->path);
  return attach_tree(tree, layer, f->userns, to, e);
}

static uid_t shift_base; // nftw passes no argument

static int shift_ids(const char *path, const struct stat *st, int type, struct FTW *where) {
  (void)type, (void)where;
  if (st->st_uid >= ID_RANGE || st->st_gid >= ID_RANGE) return 0; // a hard link, seen before
  if (lchown(path, shift_base + st->st_uid, shift_base + st->st_gid) < 0) return -1;
  // chown takes the set-id bits away.
  return S_ISLNK(st->st_mode) ? 0 : chmod(path, st->st_mode & 07777);
}

// The holder of a branch is not PID 1 of a pid namespace (clone(2) refuses CLONE_NEWPID after a
// setns to another one), so nothing else would end the copy when the holder is killed. It keeps
// the warden's channel open, by which the launcher sees that it has ended.
static _Noreturn void become_copy(pid_t holder, const char *how, const char *from,
                                  const char *to) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() == holder) // else it died before the prctl
    execle("/bin/cp", "cp", "-a", how, "--", from, to, (char *)NULL, (char *[]){NULL});
  _exit(127);
}

int tree_copy(const struct family *f, const char *path, const char *to, struct error *e) {
  int status;
  struct stat st;
  char from[1100];
  // cp could tell only in its output.
  if (stat(path, &st) < 0) return FAIL_ERRNO(e, "copying %s", path);
  snprintf(from, sizeof from, "%s/.", path);
  // With a single id all becomes the sandbox's root's: no other owner could be set.
  const char *how = f->spec.ids.count == 1 ? "--no-preserve=ownership" : "--preserve=ownership";
  pid_t holder = getpid();
  pid_t pid = fork();
  if (pid < 0) return FAIL_ERRNO(e, "fork for cp");
  if (pid == 0) become_copy(holder, how, from, to);
  if (waitpid(pid, &status, 0) < 0) return FAIL_ERRNO(e, "waiting for cp");
  return status == 0 ? 0 : FAIL(e, ERR_IO, "cp -a %s failed with status 0x%x", from, status);
}

static int copy(const struct family *f, const struct layer *layer, const char *to,
                struct error *e) {
  if (tree_copy(f, layer->path, to, e) < 0) return -1;
  if (!layer->idmap) return 0;
  shift_base = f->spec.ids.first;
  if (nftw(to, shift_ids, 32, FTW_PHYS) == 0) return 0;
  return FAIL_ERRNO(e, "changing owners of %s", layer->path);
}

static bool has_entries(const char *path) {
  struct dirent *entry;
  bool found = false;
  DIR *dir = opendir(path);
  while (dir && !found && (entry = readdir(dir)))
    found = strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
  if (dir) closedir(dir);
  return found;
}

int deltas_open(struct family *f, struct error *e) {
  for (size_t i = 0; f->spec.deltas[i]; i++) {
    if (i == DELTAS_MAX) return FAIL(e, ERR_INVALID, "more than %d deltas", DELTAS_MAX);
    f->deltas[i] = sys_open_tree(AT_FDCWD, f->spec.deltas[i], OPEN_TREE_CLONE_FLAG | O_CLOEXEC);
    if (f->deltas[i] < 0) return FAIL_ERRNO(e, "opening %s", f->spec.deltas[i]);
  }
  if (!f->spec.warm) return 0;
  f->warm = sys_open_tree(AT_FDCWD, f->spec.warm, OPEN_TREE_CLONE_FLAG | O_CLOEXEC);
  return f->warm < 0 ? FAIL_ERRNO(e, "opening %s", f->spec.warm) : 0;
}

// Empty still, and no layer of the template itself.
static int attach_warm(const struct family *f, struct error *e) {
  const struct layer delta = {.path = f->spec.warm};
  if (!f->spec.warm) return 0;
  if (mkdir("w", 0755) < 0) return FAIL_ERRNO(e, "mkdir w");
  if (attach_tree(f->warm, &delta, -1, "w", e) < 0) return -1;
  close(f->warm);
  return 0;
}

// Of tmp and shm the newest has all.
static int attach_deltas(struct family *f, size_t *used, struct error *e) {
  if (mkdir("b", 0755) < 0) return FAIL_ERRNO(e, "mkdir b");
  for (size_t i = 0; f->spec.deltas[i]; i++) {
    const struct layer delta = {.path = f->spec.deltas[i]};
    char to[16];
    snprintf(to, sizeof to, "b/%zu", i);
    if (mkdir(to, 0755) < 0) return FAIL_ERRNO(e, "mkdir %s", to);
    if (attach_tree(f->deltas[i], &delta, -1, to, e) < 0) return -1;
    close(f->deltas[i]);
    *used += (size_t)snprintf(f->lower + *used, sizeof f->lower - *used, "%s/u:", to);
  }
  f->seeded_tmp = f->spec.deltas[0] && has_entries("b/0/tmp");
  f->seeded_shm = f->spec.deltas[0] && has_entries("b/0/shm");
  return 0;
}

int layers_attach(struct family *f, struct error *e) {
  size_t used = 0;
  if (attach_warm(f, e) < 0 || attach_deltas(f, &used, e) < 0) return -1;
  used += (size_t)snprintf(f->lower + used, sizeof f->lower - used, "k");
  if (mkdir("l", 0755) < 0) return FAIL_ERRNO(e, "mkdir l");
  for (size_t i = 0; i < f->spec.layer_count; i++) {
    const struct layer *layer = &f->spec.layers[i];
    char to[16];
    snprintf(to, sizeof to, "l/%zu", i);
    if (mkdir(to, 0755) < 0) return FAIL_ERRNO(e, "mkdir %s", to);
    int done = layer->copy ? copy(f, layer, to, e)
                           : attach(f, layer, to, e);
    if (done < 0) return -1;
    bool split = f->spec.ids.count == 1 && split_is_needed(layer->path);
    if (split && split_base(f, strcpy(f->split, to), e) < 0) return -1;
    // h hides what the base has; what a recipe puts in its place, in a layer above, is seen.
    bool base = i + 1 == f->spec.layer_count;
    used += (size_t)snprintf(f->lower + used, sizeof f->lower - used, "%s:%s", base ? ":h" : "",
                             split ? "r" : to);
  }
  return 0;
}

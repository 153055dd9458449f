#define _GNU_SOURCE
#include "split.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/cleanup.h"

// Of a path in a directory of the host, and in one of the few of our own.
enum { PATH_SIZE = 1100, PART_PATH = 128 };

// Every sandbox has its own of these.
static const char *const own[] = {"proc", "sys", "dev", "tmp", "run"};

bool split_is_needed(const char *path) {
  // The kernel refuses a copy of a mount without what is locked to it, as overlayfs does.
  cleanup_fd int tree = sys_open_tree(AT_FDCWD, path, OPEN_TREE_CLONE_FLAG | O_CLOEXEC);
  return tree < 0 && errno == EINVAL;
}

static bool is_own(const char *name) {
  bool found = false;
  for (size_t i = 0; i < sizeof own / sizeof *own && !found; i++) found = !strcmp(own[i], name);
  return found;
}

static int add_link(const char *from, const char *to, struct error *e) {
  char target[PATH_SIZE];
  ssize_t length = readlink(from, target, sizeof target - 1);
  if (length < 0) return FAIL_ERRNO(e, "reading the link %s", from);
  target[length] = 0;
  return symlink(target, to) < 0 ? FAIL_ERRNO(e, "copying the link %s", from) : 0;
}

static bool is_hidden(const struct family *f, const char *name) {
  bool found = false;
  for (char **at = f->spec.hidden; *at && !found; at++) found = !strcmp(*at + 1, name);
  return found;
}

// What cannot be a part is an empty directory, and the log of the template says why.
static int add_part(struct family *f, const char *from, const char *name, struct error *e) {
  if (is_own(name) || is_hidden(f, name)) return 0;
  if (split_is_needed(from) || strlen(name) >= sizeof f->parts->name) {
    dprintf(f->log, "forkd: /%s of the host is left out: something is mounted below it\n", name);
    return 0;
  }
  if (f->part_count == PARTS_MAX)
    return FAIL(e, ERR_EXHAUSTED, "the root has more than %d directories", PARTS_MAX);
  strcpy(f->parts[f->part_count++].name, name);
  return 0;
}

static int add(struct family *f, const char *base, const char *name, struct error *e) {
  struct stat st;
  char from[PATH_SIZE], to[PATH_SIZE];
  snprintf(from, sizeof from, "%s/%s", base, name);
  snprintf(to, sizeof to, "r/%s", name);
  if (lstat(from, &st) < 0) return errno == ENOENT ? 0 : FAIL_ERRNO(e, "looking at %s", from);
  if (S_ISLNK(st.st_mode)) return add_link(from, to, e);
  if (!S_ISDIR(st.st_mode)) return 0;
  if (mkdir(to, st.st_mode & 07777) < 0) return FAIL_ERRNO(e, "mkdir %s", to);
  return add_part(f, from, name, e);
}

// The copy of the host's root has copies of what the launcher itself has mounted in its directory:
// unlike the host's they can go, and must, for the same reason.
static void drop_own_mounts(const struct family *f, const char *base) {
  struct dirent *entry;
  char path[PATH_SIZE];
  snprintf(path, sizeof path, "%s%s", base, f->scratch);
  while (umount2(path, MNT_DETACH) == 0) {
  }
  int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *dir = fd < 0 ? NULL : fdopendir(fd);
  while (dir && (entry = readdir(dir))) {
    snprintf(path, sizeof path, "%s%s/%s", base, f->scratch, entry->d_name);
    if (entry->d_name[0] != '.') umount2(path, MNT_DETACH); // most are no mounts
  }
  if (dir) closedir(dir);
}

int split_base(struct family *f, const char *base, struct error *e) {
  struct dirent *entry;
  int done = 0;
  drop_own_mounts(f, base);
  if (mkdir("r", 0755) < 0) return FAIL_ERRNO(e, "mkdir r");
  DIR *dir = opendir(base);
  if (!dir) return FAIL_ERRNO(e, "reading %s", base);
  while (done == 0 && (entry = readdir(dir)))
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
      done = add(f, base, entry->d_name, e);
  closedir(dir);
  return done;
}

// One layer of the stack, if it has the part. False when it says that the part is gone.
static bool stack_layer(struct part *part, const char *layer, size_t *used) {
  struct stat st;
  char path[PART_PATH];
  snprintf(path, sizeof path, "%s/%s", layer, part->name);
  if (lstat(path, &st) < 0) return true;
  if (!S_ISDIR(st.st_mode)) return false;
  *used += (size_t)snprintf(part->lower + *used, sizeof part->lower - *used, "%s%s",
                            *used ? ":" : "", path);
  return *used < sizeof part->lower;
}

static bool stack(const struct family *f, struct part *part) {
  char layers[sizeof f->lower], *rest = NULL;
  bool there = true;
  size_t used = 0;
  strcpy(layers, f->lower);
  for (char *layer = strtok_r(layers, ":", &rest); layer && there;
       layer = strtok_r(NULL, ":", &rest))
    there = stack_layer(part, strcmp(layer, "r") == 0 ? f->split : layer, &used);
  return there;
}

void split_stack(struct family *f) {
  size_t kept = 0;
  for (size_t i = 0; i < f->part_count; i++)
    if (stack(f, &f->parts[i])) f->parts[kept++] = f->parts[i];
  f->part_count = kept;
}

static int mount_part(const struct part *part, const char *warm, struct error *e) {
  struct stat st;
  char path[PART_PATH], upper[PART_PATH], work[PART_PATH];
  char options[LOWER_SIZE + 4 * PART_PATH];
  snprintf(path, sizeof path, "r/%s", part->name);
  if (stat(path, &st) < 0) return FAIL_ERRNO(e, "looking at /%s", part->name);
  snprintf(upper, sizeof upper, "m/u/%s", part->name);
  snprintf(work, sizeof work, "m/p/%s", part->name);
  if (mkdir(upper, st.st_mode & 07777) < 0 && errno != EEXIST)
    return FAIL_ERRNO(e, "mkdir %s", upper);
  if (mkdir(work, 0755) < 0) return FAIL_ERRNO(e, "mkdir %s", work);
  snprintf(path, sizeof path, "%s/%s", warm ? warm : "", part->name);
  bool warmed = warm && access(path, F_OK) == 0;
  snprintf(options, sizeof options, "lowerdir=%s%s%s,upperdir=%s,workdir=%s,userxattr",
           warmed ? path : "", warmed ? ":" : "", part->lower, upper, work);
  snprintf(path, sizeof path, "m/r/%s", part->name);
  return mount("overlay", path, "overlay", MS_NOSUID | MS_NODEV, options) < 0
             ? FAIL_ERRNO(e, "mounting /%s (overlay)", part->name)
             : 0;
}

int split_mount(const struct family *f, const char *warm, struct error *e) {
  if (f->part_count && mkdir("m/p", 0755) < 0) return FAIL_ERRNO(e, "mkdir m/p");
  for (size_t i = 0; i < f->part_count; i++)
    if (mount_part(&f->parts[i], warm, e) < 0) return -1;
  return 0;
}

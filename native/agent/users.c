#define _GNU_SOURCE
#include "users.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../common/cleanup.h"
#include "../common/frame.h"

enum { ACCOUNTS_MAX = 1048576 }; // bytes of /etc/passwd or /etc/group

// Both files belong to the sandbox's user: a FIFO or an endless one must not hang the agent.
static int read_accounts(const char *path, struct buffer *out, struct error *e) {
  struct stat st;
  char chunk[4096];
  ssize_t n;
  cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0 || fstat(fd, &st) < 0) return FAIL_ERRNO(e, "reading %s of the sandbox", path);
  if (!S_ISREG(st.st_mode)) return FAIL(e, ERR_INVALID, "%s is not a regular file", path);
  while (out->length < ACCOUNTS_MAX && (n = read(fd, chunk, sizeof chunk)) > 0)
    if (buffer_append(out, chunk, (size_t)n, e) < 0) return -1;
  return buffer_append(out, "\n", 2, e); // two bytes: the NUL as well
}

// Cuts the line at *cursor into its colon-separated fields; false when there is no further line.
static bool next_entry(char **cursor, char *fields[7]) {
  static char absent[1];
  char *line = strsep(cursor, "\n");
  if (!line) return false;
  for (int i = 0; i < 7; i++) {
    fields[i] = strsep(&line, ":");
    if (!fields[i]) fields[i] = absent;
  }
  return true;
}

static bool parse_id(const char *text, unsigned *out) {
  char *end;
  if (*text < '0' || *text > '9' || strlen(text) > 10) return false;
  unsigned long value = strtoul(text, &end, 10);
  // The last number means "no change" to the kernel.
  if (*end || value >= 0xffffffffUL) return false;
  *out = (unsigned)value;
  return true;
}

static int find_user(const char *user, struct identity *out, char **name, struct error *e) {
  cleanup_buffer struct buffer accounts = {0};
  unsigned wanted, uid, gid;
  char *fields[7];
  bool numeric = parse_id(user, &wanted);
  *name = NULL;
  struct error unreadable;
  if (read_accounts("/etc/passwd", &accounts, &unreadable) < 0) {
    if (numeric) accounts.length = 0;
    else return FAIL(e, ERR_INVALID, "no user %s: %s", user, unreadable.message);
  }
  char *cursor = accounts.length ? (char *)accounts.bytes : NULL;
  while (next_entry(&cursor, fields)) {
    if (!parse_id(fields[2], &uid) || !parse_id(fields[3], &gid)) continue;
    if (numeric ? uid != wanted : strcmp(fields[0], user) != 0) continue;
    out->uid = uid;
    out->gid = gid;
    *name = strdup(fields[0]);
    return *name ? 0 : FAIL(e, ERR_EXHAUSTED, "out of memory for a user name");
  }
  if (!numeric) return FAIL(e, ERR_INVALID, "no user %s in /etc/passwd of the sandbox", user);
  out->uid = wanted;
  out->gid = 0;
  return 0;
}

static bool lists(char *members, const char *name) {
  for (char *member; (member = strsep(&members, ",")) != NULL;)
    if (strcmp(member, name) == 0) return true;
  return false;
}

static void find_groups(const char *name, struct identity *out) {
  cleanup_buffer struct buffer accounts = {0};
  struct error ignored; // without a group file there are no further groups
  unsigned gid;
  char *fields[7];
  if (read_accounts("/etc/group", &accounts, &ignored) < 0) return;
  char *cursor = (char *)accounts.bytes;
  while (out->group_count < IDENTITY_GROUPS_MAX && next_entry(&cursor, fields))
    if (parse_id(fields[2], &gid) && gid != out->gid && lists(fields[3], name))
      out->groups[out->group_count++] = gid;
}

int identity_resolve(const char *user, struct identity *out, struct error *e) {
  *out = (struct identity){0};
  if (!user) return 0;
  unsigned uid, gid;
  const char *colon = strchr(user, ':');
  cleanup_free char *number = colon ? strndup(user, (size_t)(colon - user)) : NULL;
  out->change = true;
  if (colon) {
    if (!number || !parse_id(number, &uid) || !parse_id(colon + 1, &gid))
      return FAIL(e, ERR_INVALID, "user %s is not a name, a uid or uid:gid", user);
    out->uid = uid;
    out->gid = gid;
    return 0;
  }
  cleanup_free char *name = NULL;
  if (find_user(user, out, &name, e) < 0) return -1;
  if (name) find_groups(name, out);
  return 0;
}

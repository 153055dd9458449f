// Who a command runs as, by the sandbox's own /etc/passwd and /etc/group.
#pragma once
#include <stdbool.h>
#include <sys/types.h>

#include "../common/error.h"

enum { IDENTITY_GROUPS_MAX = 64 };

struct identity {
  bool change; // false: stay who the agent is
  uid_t uid;
  gid_t gid;
  gid_t groups[IDENTITY_GROUPS_MAX];
  size_t group_count;
};

// Resolves `name`, `uid` or `uid:gid`; NULL means no change. A number that /etc/passwd does not
// list gets group 0, as container engines do; a number with a group gets no other groups.
int identity_resolve(const char *user, struct identity *out, struct error *e);

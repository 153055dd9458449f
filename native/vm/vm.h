// The verbs of forkd-vm.
#pragma once
#include <sys/types.h>

#include "../common/error.h"

// Prints how long a tiny guest took; fails when /dev/kvm cannot run one as fast as a processor.
int kvm_try(struct error *e);

// Gives this process a /dev of its own, in which /dev/kvm belongs to the user that it will become.
int kvm_lend(uid_t uid, gid_t gid, struct error *e);

// Enters a new control group "NAME:BYTES:MILLIS" (memory, thousandths of a core; 0: no limit).
int group_enter(const char *instance, const char *text, struct error *e);
// Removes groups that nobody is in and prints where new ones will be: controller, directory.
int groups_prepare(const char *instance, struct error *e);

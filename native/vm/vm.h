// The verbs of forkd-vm.
#pragma once
#include "../common/error.h"

// Prints how long a tiny guest took; fails when /dev/kvm cannot run one as fast as a processor.
int kvm_try(struct error *e);

// Enters a new control group "NAME:BYTES:MILLIS" (memory, thousandths of a core; 0: no limit).
int group_enter(const char *instance, const char *text, struct error *e);
// Removes groups that nobody is in and prints where new ones will be: controller, directory.
int groups_prepare(const char *instance, struct error *e);

// Makes a network namespace, "local" or "nat", prints its name and notes it in the directory.
int net_add(const char *records, const char *kind, struct error *e);
int net_remove(const char *records, const char *name, struct error *e);
// Removes every network that is noted in the directory; prints how many.
int net_sweep(const char *records, struct error *e);
// A descriptor of tap0 in the network of that name.
int net_open_tap(const char *name, struct error *e);

// Connects a network of that name and number with the outside.
int uplink_add(const char *name, int number, struct error *e);
// What of it does not go with the namespace.
void uplink_remove(const char *name);
// In the network namespace of the caller.
int forwarding_on(struct error *e);

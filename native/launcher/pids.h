// One process, seen from two pid namespaces.
#pragma once
#include <stdbool.h>
#include <sys/types.h>

// The pid of a pidfd's process here. 0 or -1: it has ended.
pid_t pid_of_pidfd(int pidfd);

// The pid here of a child of the zygote, given its pid in the template's namespace. 0: not found.
// `pid_namespace` is a descriptor of that namespace, `zygote` the pid here of the child's parent.
pid_t pid_from_namespace(int pid_namespace, pid_t zygote, pid_t pid);

// The pid here of a process of a sandbox, given the pid here of its agent and the pid in there. 0:
// there is none.
pid_t pid_in_sandbox(pid_t init, pid_t pid);
// Both live and are in the same pid namespace.
bool pid_shares_namespace(pid_t a, pid_t b);

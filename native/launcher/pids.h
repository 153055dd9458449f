// One process, seen from two pid namespaces.
#pragma once
#include <sys/types.h>

// The pid of a pidfd's process here. 0 or -1: it has ended.
pid_t pid_of_pidfd(int pidfd);

// The pid here of a child of the zygote, given its pid in the template's namespace. 0: not found.
// `pid_namespace` is a descriptor of that namespace, `zygote` the pid here of the child's parent.
pid_t pid_from_namespace(int pid_namespace, pid_t zygote, pid_t pid);

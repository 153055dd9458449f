// Networks of sandboxes; see docs/networks.md.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../common/error.h"

// names.c ----------------------------------------------------------------------------------------

// Makes a network namespace, "local" or "nat", with tap0 ("tap") or for a pair of devices ("pair");
// prints its name and notes it in the directory.
int net_add(const char *records, const char *kind, const char *card, struct error *e);
int net_remove(const char *records, const char *name, struct error *e);
// Removes every network that is noted in the directory; prints how many.
int net_sweep(const char *records, struct error *e);
bool net_is_name(const char *name);
// Its descriptor.
int net_open(const char *name, struct error *e);
// Moves this process there.
int net_enter(const char *name, struct error *e);
// A descriptor of tap0 in the network of that name.
int net_open_tap(const char *name, struct error *e);

// plug.c -----------------------------------------------------------------------------------------

// Gives a sandbox, by the pid of its agent, eth0 with 10.42.0.2, whose other end is in the network.
int plug(const char *name, const char *pid, struct error *e);
// Takes it away at once. (It would go with the network, but the kernel takes its time for that.)
int unplug(const char *pid, struct error *e);

// rules.c ----------------------------------------------------------------------------------------

// What an uplink lets through: everything but private, link-local and multicast addresses.
int rules_everything_public(int network, struct error *e);
// Replaces that, at once, by what stdin says: "public", or "ADDRESS/BITS tcp|udp|any LOW HIGH",
// one a line.
int rules_replace(const char *name, struct error *e);
// Prints "ADDRESS PROTOCOL PORT" of what was refused lately.
int rules_refused(const char *name, struct error *e);

// forward.c --------------------------------------------------------------------------------------

// Listens on the host and passes connections on to a port of the sandbox, until stdin ends. Prints
// the port that it listens on.
int forward(const char *name, const char *address, const char *port, const char *target,
            struct error *e);

// In front of what is left to do without a privilege: nobody, and for good.
int become_nobody(struct error *e);

// questions.c ------------------------------------------------------------------------------------

// Passes what the sandbox asks of the name server at 10.42.0.1 to stdout and answers it from stdin,
// until that ends.
int questions(const char *name, struct error *e);

// uplink.c ---------------------------------------------------------------------------------------

// Connects a network of that name and number with the outside.
int uplink_add(const char *name, int number, struct error *e);
// What of it does not go with the namespace.
void uplink_remove(const char *name);
// Writes 1 to a setting of the kernel.
int switch_on(const char *path, struct error *e);
// In the network namespace of the caller.
int forwarding_on(struct error *e);

// tools.c ----------------------------------------------------------------------------------------

// In a network namespace by its descriptor; -1: in that of the caller. Text: as the tools read it,
// less than a pipe holds.
int ip_batch(int namespace, const char *text, struct error *e);
int nft_apply(int namespace, const char *text, struct error *e);
// What a set holds, as nft writes it; cut at size.
int nft_list(int namespace, const char *table, const char *set, char *text, size_t size,
             struct error *e);

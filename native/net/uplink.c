// The way out of a network: a pair of devices, and rules that let it reach what is beyond this
// machine, but neither the machine itself nor another sandbox.
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../common/cleanup.h"
#include "net.h"

#define TABLE "forkd_uplinks"

int switch_on(const char *path, struct error *e) {
  cleanup_fd int fd = open(path, O_WRONLY | O_CLOEXEC);
  return fd < 0 || write(fd, "1", 1) != 1 ? FAIL_ERRNO(e, "writing %s", path) : 0;
}

int forwarding_on(struct error *e) { return switch_on("/proc/sys/net/ipv4/ip_forward", e); }

static const char host_rules[] =
    "table ip " TABLE " {}\n"
    "flush table ip " TABLE "\n"
    "table ip " TABLE " {\n"
    " chain out { type nat hook postrouting priority srcnat;\n"
    "  ip saddr 10.43.0.0/16 oifname != \"forkd-v*\" masquerade\n }\n"
    " chain here { type filter hook input priority filter;\n"
    "  iifname \"forkd-v*\" ct state established,related accept\n"
    "  iifname \"forkd-v*\" drop\n }\n"
    " chain through { type filter hook forward priority filter;\n"
    "  iifname \"forkd-v*\" oifname \"forkd-v*\" drop\n }\n}\n";

int uplink_add(const char *name, int number, struct error *e) {
  char pair[512], rest[256];
  int net = number >> 6, host = (number & 63) * 4;
  snprintf(pair, sizeof pair,
           "link add forkd-v%d type veth peer name up0 netns %s\n"
           "link set forkd-v%d addrgenmode none\n"
           "addr add 10.43.%d.%d/30 dev forkd-v%d\nlink set forkd-v%d up\n",
           number, name, number, net, host + 1, number, number);
  snprintf(rest, sizeof rest,
           "addr add 10.43.%d.%d/30 dev up0\nlink set up0 up\nroute add default via 10.43.%d.%d\n",
           net, host + 2, net, host + 1);
  cleanup_fd int network = net_open(name, e);
  if (network < 0 || forwarding_on(e) < 0 || nft_apply(-1, host_rules, e) < 0 ||
      ip_batch(-1, pair, e) < 0 || ip_batch(network, rest, e) < 0)
    return -1;
  return rules_everything_public(network, e);
}

static bool is_last(const char *device) {
  bool other = false;
  DIR *dir = opendir("/sys/class/net");
  if (!dir) return false;
  for (struct dirent *d; !other && (d = readdir(dir));)
    other = strncmp(d->d_name, "forkd-v", 7) == 0 && strcmp(d->d_name, device) != 0;
  closedir(dir);
  return !other;
}

void uplink_remove(const char *name) {
  char device[32], path[64], text[64];
  struct error ignored;
  snprintf(device, sizeof device, "forkd-v%s", strrchr(name, '-') + 1);
  snprintf(path, sizeof path, "/sys/class/net/%s", device);
  if (access(path, F_OK) < 0) return;
  snprintf(text, sizeof text, "link del %s\n", device);
  ip_batch(-1, text, &ignored);
  if (is_last(device)) nft_apply(-1, "delete table ip " TABLE "\n", &ignored);
}

// The same in every sandbox, so that nothing of it has to be changed in a copy.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <net/if.h>
#include <net/route.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../common/cleanup.h"
#include "guest.h"

enum { CARD_TRIES = 1000, CARD_WAIT_US = 10000 };

static void put_address(struct sockaddr *out, const char *text) {
  struct sockaddr_in in = {.sin_family = AF_INET};
  inet_pton(AF_INET, text, &in.sin_addr);
  memcpy(out, &in, sizeof in);
}

static int change(int fd, unsigned long command, const char *address, short flags,
                  struct error *e) {
  struct ifreq request = {.ifr_name = "eth0"};
  if (address) put_address(&request.ifr_addr, address);
  else request.ifr_flags = flags;
  return ioctl(fd, command, &request) < 0 ? FAIL_ERRNO(e, "setting up eth0") : 0;
}

// A driver's probe may end after its module is loaded.
static int wait_for_card(int fd, struct error *e) {
  struct ifreq request = {.ifr_name = "eth0"};
  for (int i = 0; i < CARD_TRIES; i++) {
    if (ioctl(fd, SIOCGIFFLAGS, &request) == 0) return 0;
    usleep(CARD_WAIT_US);
  }
  return FAIL_ERRNO(e, "waiting for eth0");
}

int network_make(struct error *e) {
  struct rtentry route = {.rt_flags = RTF_UP | RTF_GATEWAY};
  cleanup_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return FAIL_ERRNO(e, "socket");
  if (wait_for_card(fd, e) < 0 || change(fd, SIOCSIFADDR, "10.42.0.2", 0, e) < 0 ||
      change(fd, SIOCSIFNETMASK, "255.255.255.0", 0, e) < 0 ||
      change(fd, SIOCSIFFLAGS, NULL, IFF_UP | IFF_RUNNING, e) < 0)
    return -1;
  put_address(&route.rt_dst, "0.0.0.0");
  put_address(&route.rt_genmask, "0.0.0.0");
  put_address(&route.rt_gateway, "10.42.0.1");
  return ioctl(fd, SIOCADDRT, &route) < 0 ? FAIL_ERRNO(e, "the default route") : 0;
}

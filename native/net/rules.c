// What a network lets through to the outside, as one transaction of nft(8): there is no moment with
// no rules, and none with half of them.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/cleanup.h"
#include "net.h"

enum { LINES_MAX = 1024, TEXT_MAX = 65536, REFUSED_MAX = 256 };

// Private, shared, link-local (with the metadata services of clouds), multicast and reserved ones.
#define NOT_PUBLIC                                                                                 \
  "{ 0.0.0.0/8, 10.0.0.0/8, 100.64.0.0/10, 127.0.0.0/8, 169.254.0.0/16, 172.16.0.0/12, "           \
  "192.168.0.0/16, 198.18.0.0/15, 224.0.0.0/3 }"

struct text {
  char *bytes;
  size_t length;
};

static void add(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct text *t, const char *format, ...) {
  va_list values;
  va_start(values, format);
  int n = vsnprintf(t->bytes + t->length, TEXT_MAX - t->length, format, values);
  va_end(values);
  t->length += (size_t)n < TEXT_MAX - t->length ? (size_t)n : TEXT_MAX - t->length - 1;
}

static void begin(struct text *t) {
  add(t, "table ip forkd {}\nflush table ip forkd\ntable ip forkd {\n"
         " set refused { type ipv4_addr . inet_proto . inet_service; size %d;"
         " flags dynamic, timeout; timeout 1h; }\n"
         " chain out { type nat hook postrouting priority srcnat; oifname \"up0\" masquerade\n }\n"
         " chain through { type filter hook forward priority filter; policy drop;\n"
         "  ct state established,related accept\n"
         "  iifname != { \"tap0\", \"veth0\" } drop\n  oifname != \"up0\" drop\n"
         "  ip daddr 10.43.0.0/16 jump refuse\n",
      REFUSED_MAX);
}

static void end(struct text *t) {
  add(t, "  jump refuse\n }\n chain refuse {\n"
         "  meta l4proto { tcp, udp } add @refused { ip daddr . meta l4proto . th dport }\n"
         "  meta l4proto tcp reject with tcp reset\n"
         "  reject with icmp admin-prohibited\n }\n}\n");
}

static int new_text(struct text *t, struct error *e) {
  *t = (struct text){.bytes = calloc(1, TEXT_MAX)};
  return t->bytes ? 0 : FAIL(e, ERR_EXHAUSTED, "out of memory");
}

static void add_public(struct text *t) { add(t, "  ip daddr != " NOT_PUBLIC " accept\n"); }

int rules_everything_public(int network, struct error *e) {
  struct text t;
  if (new_text(&t, e) < 0) return -1;
  begin(&t);
  add_public(&t);
  end(&t);
  int done = nft_apply(network, t.bytes, e);
  free(t.bytes);
  return done;
}

// Every word is parsed and written anew: nothing of the line itself reaches nft.
static int add_line(struct text *t, const char *line, struct error *e) {
  char address[32], protocol[8];
  unsigned bits, low, high;
  struct in_addr parsed;
  if (strcmp(line, "public") == 0) {
    add_public(t);
    return 0;
  }
  if (sscanf(line, "%31[0-9.]/%2u %7s %5u %5u", address, &bits, protocol, &low, &high) != 5 ||
      inet_pton(AF_INET, address, &parsed) != 1 || bits > 32 || low > high || high > 65535)
    return FAIL(e, ERR_INVALID, "not a rule: %.64s", line);
  inet_ntop(AF_INET, &parsed, address, sizeof address);
  if (strcmp(protocol, "any") == 0) add(t, "  ip daddr %s/%u accept\n", address, bits);
  else if (strcmp(protocol, "tcp") == 0 || strcmp(protocol, "udp") == 0)
    add(t, "  ip daddr %s/%u %s dport %u-%u accept\n", address, bits, protocol, low, high);
  else
    return FAIL(e, ERR_INVALID, "not a rule: %.64s", line);
  return 0;
}

static int add_lines(struct text *t, struct error *e) {
  char line[128];
  for (int n = 0; fgets(line, sizeof line, stdin); n++) {
    line[strcspn(line, "\n")] = 0;
    if (n == LINES_MAX) return FAIL(e, ERR_INVALID, "more than %d rules", LINES_MAX);
    if (line[0] && add_line(t, line, e) < 0) return -1;
  }
  return t->length + 1 >= TEXT_MAX ? FAIL(e, ERR_INVALID, "the rules are too long") : 0;
}

int rules_replace(const char *name, struct error *e) {
  struct text t;
  cleanup_fd int network = net_open(name, e);
  if (network < 0 || new_text(&t, e) < 0) return -1;
  begin(&t);
  int done = add_lines(&t, e);
  end(&t);
  if (done == 0) done = nft_apply(network, t.bytes, e);
  free(t.bytes);
  return done;
}

// As nft writes a set: "elements = { 192.0.2.1 . 6 . 80 expires 59m, ... }".
static void print_elements(char *text) {
  char address[32];
  unsigned protocol, port;
  char *at = strstr(text, "elements = {");
  if (!at) return;
  for (at = strchr(at, '{') + 1; at; at = strchr(at, ',')) {
    if (*at == ',') at++;
    if (sscanf(at, " %31[0-9.] . %u . %u", address, &protocol, &port) == 3)
      printf("%s %s %u\n", address, protocol == IPPROTO_TCP ? "tcp" : "udp", port);
  }
}

int rules_refused(const char *name, struct error *e) {
  cleanup_fd int network = net_open(name, e);
  cleanup_free char *text = calloc(1, TEXT_MAX);
  if (!text) return FAIL(e, ERR_EXHAUSTED, "out of memory");
  if (network < 0 || nft_list(network, "forkd", "refused", text, TEXT_MAX, e) < 0) return -1;
  print_elements(text);
  return 0;
}

// SHA-256 (FIPS 180-4), by the processor's own instructions where it has them.
#pragma once
#include <stddef.h>
#include <stdint.h>

struct sha256 {
  uint32_t state[8];
  uint64_t bytes;
  uint8_t block[64]; // what does not fill one yet
};

void sha256_begin(struct sha256 *s);
void sha256_add(struct sha256 *s, const void *data, size_t length);
// 64 hex digits and a NUL.
void sha256_end(struct sha256 *s, char hex[65]);

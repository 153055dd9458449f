#include "sha256.h"

#include <immintrin.h>
#include <stdio.h>
#include <string.h>

static const uint32_t ROUND[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t turned(uint32_t x, int by) { return x >> by | x << (32 - by); }

static void compress(uint32_t state[8], const uint8_t *data) {
  uint32_t w[64], v[8];
  for (int i = 0; i < 16; i++) {
    memcpy(&w[i], data + 4 * i, 4);
    w[i] = __builtin_bswap32(w[i]);
  }
  for (int i = 16; i < 64; i++) {
    uint32_t a = w[i - 15], b = w[i - 2];
    w[i] = w[i - 16] + (turned(a, 7) ^ turned(a, 18) ^ a >> 3) + w[i - 7] +
           (turned(b, 17) ^ turned(b, 19) ^ b >> 10);
  }
  memcpy(v, state, sizeof v);
  for (int i = 0; i < 64; i++) {
    uint32_t e = v[4], a = v[0];
    uint32_t first = v[7] + (turned(e, 6) ^ turned(e, 11) ^ turned(e, 25)) +
                     ((e & v[5]) ^ (~e & v[6])) + ROUND[i] + w[i];
    uint32_t second = (turned(a, 2) ^ turned(a, 13) ^ turned(a, 22)) +
                      ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));
    memmove(v + 1, v, 7 * sizeof *v);
    v[4] += first;
    v[0] = first + second;
  }
  for (int i = 0; i < 8; i++) state[i] += v[i];
}

__attribute__((target("sha,sse4.1"))) static void compress_fast(uint32_t state[8],
                                                                const uint8_t *data) {
  const __m128i order = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
  const __m128i *in = (const __m128i *)(const void *)data;
  __m128i *words = (__m128i *)(void *)state, m[4];
  __m128i low = _mm_shuffle_epi32(_mm_loadu_si128(words), 0xb1);
  __m128i second = _mm_shuffle_epi32(_mm_loadu_si128(words + 1), 0x1b);
  __m128i first = _mm_alignr_epi8(low, second, 8);
  second = _mm_blend_epi16(second, low, 0xf0);
  __m128i before_first = first, before_second = second;
  for (int i = 0; i < 16; i++) {
    __m128i *w = &m[i & 3], last = m[(i + 3) & 3];
    if (i < 4) {
      *w = _mm_shuffle_epi8(_mm_loadu_si128(in + i), order);
    } else {
      __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(*w, m[(i + 1) & 3]),
                                  _mm_alignr_epi8(last, m[(i + 2) & 3], 4));
      *w = _mm_sha256msg2_epu32(sum, last);
    }
    const __m128i *round = (const __m128i *)(const void *)&ROUND[4 * i];
    __m128i k = _mm_add_epi32(*w, _mm_loadu_si128(round));
    second = _mm_sha256rnds2_epu32(second, first, k);
    first = _mm_sha256rnds2_epu32(first, second, _mm_shuffle_epi32(k, 0x0e));
  }
  first = _mm_shuffle_epi32(_mm_add_epi32(first, before_first), 0x1b);
  second = _mm_shuffle_epi32(_mm_add_epi32(second, before_second), 0xb1);
  _mm_storeu_si128(words, _mm_blend_epi16(first, second, 0xf0));
  _mm_storeu_si128(words + 1, _mm_alignr_epi8(second, first, 8));
}

static int has_instructions(void) {
  uint32_t a, b = 0, c, d;
  __asm__("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(7), "c"(0));
  return b >> 29 & 1;
}

static void take(struct sha256 *s, const uint8_t *data) {
  static int fast = -1;
  if (fast < 0) fast = has_instructions();
  (fast ? compress_fast : compress)(s->state, data);
}

void sha256_begin(struct sha256 *s) {
  static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  memcpy(s->state, start, sizeof start);
  s->bytes = 0;
}

void sha256_add(struct sha256 *s, const void *data, size_t length) {
  const uint8_t *from = data;
  size_t filled = s->bytes % 64;
  s->bytes += length;
  while (length) {
    size_t n = 64 - filled < length ? 64 - filled : length;
    if (n == 64) {
      take(s, from);
    } else {
      memcpy(s->block + filled, from, n);
      if (filled + n == 64) take(s, s->block);
    }
    filled = (filled + n) % 64;
    from += n;
    length -= n;
  }
}

void sha256_end(struct sha256 *s, char hex[65]) {
  static const uint8_t padding[64] = {0x80};
  uint64_t bits = __builtin_bswap64(s->bytes * 8);
  sha256_add(s, padding, 1 + (119 - s->bytes % 64) % 64);
  sha256_add(s, &bits, sizeof bits);
  for (int i = 0; i < 8; i++) snprintf(hex + 8 * i, 9, "%08x", s->state[i]);
}

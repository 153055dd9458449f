// One end of a stream of frames: non-blocking, buffered both ways, descriptors by SCM_RIGHTS.
#pragma once
#include "frame.h"

enum {
  CHANNEL_FDS_MAX = 32,             // descriptors received and not yet taken
  CHANNEL_OUT_MAX = 8 * 1048576,    // queued output: beyond it channel_full() is true
};

struct channel {
  int in, out;        // the same descriptor for a socket; two for stdin/stdout
  struct buffer input, output;
  int fds[CHANNEL_FDS_MAX];         // received, in order
  size_t fd_count;
  bool is_socket;
};

// Takes ownership of the descriptors and makes them non-blocking.
int channel_open(struct channel *c, int in, int out, struct error *e);
void channel_close(struct channel *c);
// Reads what is there. 1: something came; 0: would block; -1: end or error (message tells which).
int channel_read(struct channel *c, struct error *e);
// Writes what fits. 1: all is out; 0: would block; -1: error.
int channel_flush(struct channel *c, struct error *e);
// Next whole frame of the input, valid until channel_done. As frame_parse.
int channel_frame(struct channel *c, struct frame *out, struct error *e);
void channel_done(struct channel *c, const struct frame *f);
// Takes the next received descriptor, or -1.
int channel_take_fd(struct channel *c);
// As channel_send_with_fds, but never waits. 1: the frame is on its way, descriptors included (a
// rest of its bytes may be queued as output); 0: nothing was sent, try again when the channel is
// writable; -1: error.
int channel_try_send_with_fds(struct channel *c, const struct buffer *frame, const int *fds,
                              size_t n, struct error *e);
// Sends copies of descriptors with the frame that is begun next. The caller keeps its own and may
// close them after the flush that sends them; so this flushes all earlier output first, blocking
// at most `timeout_ms`, and sends the frame at once.
int channel_send_with_fds(struct channel *c, const struct buffer *frame, const int *fds, size_t n,
                          int timeout_ms, struct error *e);
int set_nonblocking(int fd, struct error *e);
bool channel_wants_write(const struct channel *c);
bool channel_full(const struct channel *c);

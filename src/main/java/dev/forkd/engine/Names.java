package dev.forkd.engine;

import java.util.List;
import java.util.Optional;

/**
 * The name server of one sandbox: it knows what the sandbox may reach by name, and nothing else.
 * What it is asked comes from the sandbox and may be anything. Thread-safe.
 */
public interface Names {
  /**
   * What is sent back to a question, messages of DNS (RFC 1035) both; empty when it is none. What
   * it tells is in {@link #rules} from now on, and they have to be in force before it is sent.
   */
  Optional<byte[]> answer(byte[] question);

  /** All that is let through now, as in {@link Reach}. */
  List<String> rules();

  /** "NAME udp 53" of what it was asked for lately and did not tell. */
  List<String> refused();
}

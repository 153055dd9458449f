package dev.forkd.api;

import dev.forkd.json.Json;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.time.Duration;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Supplier;
import java.util.regex.Pattern;

/**
 * Requests with an {@code Idempotency-Key}: whoever sends one again gets the first answer again,
 * and nothing happens twice. Only successes are kept, so that a failure can be tried again. Bounded
 * in number, bytes and age; thread-safe.
 */
final class Replays {
  private static final int MAX_ENTRIES = 10_000;
  private static final long MAX_BYTES = 16 << 20;
  private static final Duration AGE = Duration.ofHours(24);
  private static final long WAIT_MINUTES = 60;
  private static final Pattern KEY = Pattern.compile("[\\x21-\\x7e]{1,255}");

  private record Place(String caller, String line, String key) {}

  private static final class Entry {
    final int body;
    final long made = System.nanoTime();
    final CompletableFuture<Reply> reply = new CompletableFuture<>();
    long bytes;

    Entry(int body) {
      this.body = body;
    }
  }

  private final Map<Place, Entry> entries = new LinkedHashMap<>();
  private long bytes;

  /** Does the work, or answers as the same request with the same key was answered. */
  Reply once(Call call, Supplier<Reply> work) {
    String key = call.header("idempotency-key");
    if (key.isEmpty()) {
      return work.get();
    }
    if (!KEY.matcher(key).matches()) {
      throw Body.invalid("Idempotency-Key must be 1 to 255 visible ASCII characters");
    }
    Place place = new Place(call.caller(), call.line(), key);
    int body = Arrays.hashCode(call.bytes());
    Entry mine = new Entry(body);
    Entry first = enter(place, mine);
    if (first != mine) {
      return replayed(first, body);
    }
    try {
      Reply reply = work.get();
      keep(mine, reply);
      return reply;
    } catch (RuntimeException e) {
      mine.reply.completeExceptionally(e);
      throw e;
    } finally {
      settle(place, mine);
    }
  }

  private synchronized Entry enter(Place place, Entry mine) {
    var oldest = entries.entrySet().iterator();
    while (oldest.hasNext()) {
      Entry entry = oldest.next().getValue();
      boolean old = System.nanoTime() - entry.made > AGE.toNanos();
      boolean full = entries.size() >= MAX_ENTRIES || bytes > MAX_BYTES;
      if (!entry.reply.isDone() || !(old || full)) {
        break;
      }
      bytes -= entry.bytes;
      oldest.remove();
    }
    Entry there = entries.putIfAbsent(place, mine);
    return there == null ? mine : there;
  }

  private synchronized void keep(Entry entry, Reply reply) {
    entry.bytes =
        reply instanceof Reply.Document document ? Json.text(document.body()).length() : 0;
    bytes += entry.bytes;
    entry.reply.complete(reply);
  }

  // Also after an Error: nobody may wait for an answer that will never come.
  private synchronized void settle(Place place, Entry entry) {
    entry.reply.completeExceptionally(
        new ForkdException(FailureKind.INTERNAL, "the first request with this key failed"));
    if (entry.reply.isCompletedExceptionally()) {
      entries.remove(place, entry);
    }
  }

  private static Reply replayed(Entry first, int body) {
    if (first.body != body) {
      throw new ForkdException(
          FailureKind.CONFLICT,
          "this Idempotency-Key came with another body before: choose a new key for a new request");
    }
    try {
      return first.reply.get(WAIT_MINUTES, TimeUnit.MINUTES);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new Failure(FailureKind.UNAVAILABLE, "the daemon is stopping").thrown(e);
    } catch (TimeoutException e) {
      throw new Failure(FailureKind.TIMEOUT, "the first request with this key still runs")
          .thrown(e);
    } catch (ExecutionException e) {
      throw e.getCause() instanceof ForkdException cause
          ? cause.failure().thrown(e)
          : new IllegalStateException(e);
    }
  }
}

package dev.forkd.api;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(60)
final class EventsResourceTest {
  private static final byte[] NOTHING = {};
  private static final String STREAM = "Accept: text/event-stream";
  @TempDir Path dir;
  private ApiFixture api;

  @BeforeEach
  void open() {
    api = ApiFixture.open(dir);
    api.service.create("demo");
  }

  @AfterEach
  void close() {
    api.close();
  }

  /** Reads events, of which a chunk may hold several, until there are n. */
  private static List<String> events(Http http, int n) throws IOException {
    List<String> events = new ArrayList<>();
    while (events.size() < n) {
      for (String block : http.chunk().split("\n\n")) {
        if (!block.startsWith(":")) {
          events.add(block);
        }
      }
    }
    return events;
  }

  private Http follow(String... headers) throws IOException {
    Http http = Http.unix(api.socket());
    http.send("GET", "/v1/events", NOTHING, headers);
    assertThat(http.status()).isEqualTo(200);
    assertThat(http.header("content-type")).isEqualTo("text/event-stream");
    assertThat(http.chunk()).startsWith(": forkd events after ");
    return http;
  }

  @Test
  void everyChangeIsToldInOrder() throws IOException {
    try (Http http = follow(STREAM)) {
      String id = api.sandbox();
      api.post("/v1/sandboxes/" + id + "/renew", "{}");
      api.delete("/v1/sandboxes/" + id);
      api.delete("/v1/snapshots/demo");
      List<String> events = events(http, 4);
      assertThat(events.get(0)).contains("\nevent: sandbox.created\n").contains(id);
      assertThat(events.get(1)).contains("\nevent: sandbox.renewed\n");
      assertThat(events.get(2)).contains("\nevent: sandbox.destroyed\n");
      assertThat(events.get(3)).contains("\nevent: snapshot.").contains("\"subject\":\"demo\"");
      assertThat(events).allMatch(event -> event.matches("(?s)id: [0-9]+\n.*data: \\{.*}"));
    }
  }

  @Test
  void aStreamIsTakenUpWhereItBrokeOff() throws IOException {
    String id = api.sandbox();
    long last;
    try (Http http = follow(STREAM, "Last-Event-ID: 0")) {
      String first = events(http, 1).getFirst();
      last = Long.parseLong(first.substring("id: ".length(), first.indexOf('\n')));
    }
    api.delete("/v1/sandboxes/" + id);
    try (Http http = follow(STREAM, "Last-Event-ID: " + last)) {
      List<String> events = events(http, 3);
      assertThat(events.getFirst()).startsWith("id: " + (last + 1) + "\n");
      assertThat(events.getLast()).contains("sandbox.destroyed");
    }
  }

  @Test
  void whatTheLogHasForgottenIsToldAsAGap() throws IOException {
    api.service.registry.note(
        IntStream.range(0, 10_050)
            .mapToObj(i -> new dev.forkd.model.Event(1, "x", "s", ""))
            .toList());
    try (Http http = follow(STREAM, "Last-Event-ID: 1")) {
      assertThat(events(http, 2).getFirst()).matches("event: gap\ndata: \\{\"missed\":[0-9]+}");
    }
  }

  @Test
  void aNumberThatIsNoneIsRefused() throws IOException {
    for (String last : List.of("x", "-1", "99999999999999999999")) {
      assertThat(api.call("GET", "/v1/events", NOTHING, STREAM, "Last-Event-ID: " + last).status())
          .isEqualTo(400);
    }
  }

  @Test
  void streamsAreBounded() throws IOException {
    List<Http> open = new ArrayList<>();
    try {
      for (int i = 0; i < EventsResource.MAX_STREAMS; i++) {
        open.add(follow(STREAM));
      }
      ApiFixture.Answer refused = api.call("GET", "/v1/events", NOTHING, STREAM);
      assertThat(refused.status()).isEqualTo(503);
    } finally {
      for (Http http : open) {
        http.close();
      }
    }
  }
}

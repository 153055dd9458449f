package dev.forkd.client;

import dev.forkd.model.SandboxFilter;
import dev.forkd.model.SnapshotFilter;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** Filters as queries of a URL. */
final class Queries {
  private Queries() {}

  static String of(SandboxFilter filter) {
    List<String> words = new ArrayList<>();
    if (filter.all()) {
      words.add("all=true");
    }
    filter.tag().ifPresent(tag -> words.add("tag=" + encoded(tag.text())));
    add(words, "name", filter.name());
    add(words, filter.labels());
    add(words, "after", filter.after());
    if (filter.limit() > 0) {
      words.add("limit=" + filter.limit());
    }
    return words.isEmpty() ? "" : "?" + String.join("&", words);
  }

  static String of(SnapshotFilter filter) {
    List<String> words = new ArrayList<>();
    filter.status().ifPresent(status -> words.add("status=" + status.word()));
    add(words, filter.labels());
    add(words, "recipe", filter.recipe());
    add(words, "after", filter.after());
    if (filter.limit() > 0) {
      words.add("limit=" + filter.limit());
    }
    return words.isEmpty() ? "" : "?" + String.join("&", words);
  }

  private static void add(List<String> words, Map<String, String> labels) {
    new TreeMap<>(labels).forEach((key, value) -> words.add("label=" + encoded(key + "=" + value)));
  }

  private static void add(List<String> words, String name, String value) {
    if (!value.isEmpty()) {
      words.add(name + "=" + encoded(value));
    }
  }

  private static String encoded(String text) {
    return URLEncoder.encode(text, StandardCharsets.UTF_8).replace("+", "%20");
  }
}

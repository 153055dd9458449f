package dev.forkd.api;

import dev.forkd.json.Json;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import java.io.IOException;
import java.io.InputStream;
import java.util.Objects;
import tools.jackson.dataformat.yaml.YAMLMapper;

/** The API's own description: written as openapi.yaml, served as JSON. */
final class OpenApi {
  private OpenApi() {}

  /** The document as compact JSON. */
  static String json() {
    try (InputStream in =
        Objects.requireNonNull(OpenApi.class.getResourceAsStream("/openapi.yaml"))) {
      return Json.text(new YAMLMapper().readTree(in));
    } catch (IOException e) {
      throw new Failure(FailureKind.INTERNAL, "openapi.yaml cannot be read: " + e).thrown(e);
    }
  }
}

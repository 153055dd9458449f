package dev.forkd.image;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.nio.file.Path;

/**
 * Whatever the text, the parser answers with a recipe or an INVALID failure that says something.
 */
public final class RecipeFuzzTarget {
  private static final Path HERE = Path.of("/recipes/x");

  private RecipeFuzzTarget() {}

  /** Entry of the fuzzer. */
  public static void fuzzerTestOneInput(byte[] data) {
    try {
      RecipeParser.parse(new String(data, UTF_8), HERE);
    } catch (ForkdException refused) {
      if (refused.kind() != FailureKind.INVALID || refused.failure().message().isBlank()) {
        throw new AssertionError("an odd refusal: " + refused, refused);
      }
    }
  }
}

package dev.forkd.engine.vm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.forkd.model.RootImage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LayerImagesTest {
  private static final String LAYER = "a".repeat(64);
  private static final String IMAGE = "b".repeat(64);
  private static final String OTHER = "c".repeat(64);

  @TempDir Path dir;

  private static String name(String path) {
    RootImage.Layer layer = new RootImage.Layer(Path.of(path), true, false);
    RootImage image = new RootImage(IMAGE, List.of(layer), List.of(), List.of());
    return LayerImages.name(image, layer, 1);
  }

  @Test
  void layersOfTheStoreAreSharedAndOthersBelongToTheirImage() {
    assertThat(name("/state/images/layers/" + LAYER + "/tree")).isEqualTo(LAYER);
    assertThat(name("/srv/debian")).isEqualTo(IMAGE + "-1");
    assertThat(name("/srv")).isEqualTo(IMAGE + "-1");
  }

  @Test
  void whatNoImageNeedsIsRemoved() throws IOException {
    List<String> kept = List.of(LAYER + ".ext4", IMAGE + "-0.ext4", IMAGE + "-12.ext4", "note");
    List<String> gone = List.of(OTHER + ".ext4", OTHER + "-0.ext4", "part-123.ext4");
    for (String name : kept) {
      Files.createFile(dir.resolve(name));
    }
    for (String name : gone) {
      Files.createFile(dir.resolve(name));
    }
    new LayerImages(dir).retain(Set.of(LAYER, IMAGE));
    assertThat(dir.toFile().list()).containsExactlyInAnyOrderElementsOf(kept);
    new LayerImages(dir.resolve("absent")).retain(Set.of());
  }
}

package dev.forkd.store;

import static org.assertj.core.api.Assertions.assertThat;

import dev.forkd.json.Json;
import dev.forkd.model.Tag;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class SnapshotFilesTest {
  private static final Tag TAG = new Tag("t");

  @TempDir Path root;

  @Test
  void aManifestIsWrittenReplacedAndDeleted() throws IOException {
    SnapshotFiles files = new SnapshotFiles(root);
    assertThat(files.exists(TAG)).isFalse();
    files.write(TAG, Json.object().put("version", 1));
    files.write(TAG, Json.object().put("version", 2));
    assertThat(files.exists(TAG)).isTrue();
    assertThat(files.dir(TAG)).isDirectoryNotContaining(path -> path.toString().contains(".new"));
    assertThat(files.dir(TAG).resolve("snapshot.json")).hasContent("{\"version\":2}\n");
    Files.createDirectories(files.dir(TAG).resolve("sub/dir"));
    Files.createSymbolicLink(files.dir(TAG).resolve("sub/link"), Path.of("/etc"));
    files.delete(TAG);
    files.delete(TAG);
    assertThat(root).isEmptyDirectory();
    assertThat(Path.of("/etc")).isNotEmptyDirectory();
  }

  @Test
  void anInterruptedDeletionIsFinished() throws IOException {
    SnapshotFiles files = new SnapshotFiles(root);
    files.write(TAG, Json.object());
    Files.createDirectories(root.resolve(".deleting-old-1/x"));
    assertThat(files.sweep()).isEqualTo(1);
    assertThat(root).isDirectoryContaining(path -> path.endsWith("t"));
    assertThat(root.resolve(".deleting-old-1")).doesNotExist();
  }

  @Test
  void whatIsBeingWrittenIsNotSwept() throws IOException {
    SnapshotFiles files = new SnapshotFiles(root);
    Path staged = files.stage(TAG);
    Files.createDirectory(root.resolve(".staging-t-1"));
    assertThat(files.sweep()).isEqualTo(1);
    assertThat(root).isDirectoryContaining(staged::equals);
    files.publish(staged, TAG, Json.object());
    Path given = files.stage(TAG);
    files.discard(given);
    Files.createDirectory(given); // a deletion that did not come to its end
    assertThat(files.sweep()).isEqualTo(1);
    assertThat(root).isDirectoryContaining(path -> path.endsWith("t")).isNotEmptyDirectory();
    assertThat(files.exists(TAG)).isTrue();
  }

  @Test
  void aLinkInPlaceOfAManifestDoesNotCount() throws IOException {
    SnapshotFiles files = new SnapshotFiles(root);
    files.write(TAG, Json.object());
    Path manifest = files.dir(TAG).resolve("snapshot.json");
    Files.delete(manifest);
    Files.createSymbolicLink(manifest, Path.of("/etc/passwd"));
    assertThat(files.exists(TAG)).isFalse();
    Files.delete(manifest);
  }
}

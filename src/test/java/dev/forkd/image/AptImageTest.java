package dev.forkd.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.forkd.model.Recipe;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class AptImageTest {
  private static final AptSources HOST = new AptSources("bookworm", "http://host/debian");

  @TempDir Path etc;

  private static AptImage image(String suite, String... packages) {
    return AptImage.of(new Recipe.Image.Apt(suite, "", List.of(packages)), HOST);
  }

  @Test
  void theDigestDoesNotDependOnTheOrderOfPackages() {
    assertThat(image("", "b", "a", "b").digest()).isEqualTo(image("bookworm", "a", "b").digest());
    assertThat(image("", "a", "b").digest()).isNotEqualTo(image("", "a").digest());
    assertThat(image("", "a").digest()).isNotEqualTo(image("trixie", "a").digest());
  }

  @Test
  void theCommandNamesSuiteTargetAndMirrorLast() {
    assertThat(image("", "python3", "git").command(Path.of("/x/tree")))
        .startsWith("unshare", "--mount", "--pid")
        .contains("--include=git,python3", "--dpkgopt=path-exclude=/usr/share/man/*")
        .endsWith("bookworm", "/x/tree", "http://host/debian");
    assertThat(image("").command(Path.of("/x"))).noneMatch(part -> part.startsWith("--include"));
  }

  private AptSources read(String release, String file, String text) throws IOException {
    Files.writeString(etc.resolve("os-release"), release);
    Path path = etc.resolve("apt").resolve(file);
    Files.createDirectories(path.getParent());
    Files.writeString(path, text);
    return AptSources.read(etc);
  }

  @Test
  void sourcesAreReadInBothFormats() throws IOException {
    String release = "NAME=Debian\nVERSION_CODENAME=bookworm\n";
    assertThat(
            read(
                release,
                "sources.list.d/debian.sources",
                """
                Types: deb
                # a comment
                URIs: http://security/debian
                Suites: bookworm-security

                Types: deb
                URIs: http://first/debian http://second/debian
                Suites: bookworm bookworm-updates
                Components: main
                """))
        .isEqualTo(new AptSources("bookworm", "http://first/debian"));
    assertThat(
            read(
                release,
                "sources.list",
                """
                # deb http://no bookworm main
                deb http://u bookworm-updates main
                deb [arch=amd64 signed-by=/k] http://line bookworm main contrib
                """))
        .isEqualTo(new AptSources("bookworm", "http://line"));
  }

  @Test
  void anUnknownHostIsAskedToSaySo() throws IOException {
    assertThatThrownBy(() -> read("NAME=x\n", "sources.list", ""))
        .hasMessageContaining("set `image.apt.suite`");
    assertThatThrownBy(() -> read("VERSION_CODENAME=sid\n", "sources.list", ""))
        .hasMessageContaining("set `image.apt.mirror`");
  }
}

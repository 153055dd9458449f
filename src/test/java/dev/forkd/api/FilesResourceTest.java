package dev.forkd.api;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.forkd.client.Endpoint;
import dev.forkd.client.ForkdClient;
import dev.forkd.model.ForkdException;
import dev.forkd.model.SandboxId;
import dev.forkd.service.FakeFiles;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import org.apache.commons.compress.archivers.tar.TarArchiveEntry;
import org.apache.commons.compress.archivers.tar.TarArchiveOutputStream;
import org.apache.commons.compress.archivers.tar.TarConstants;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;

final class FilesResourceTest {
  private static final byte[] NOTHING = {};
  @TempDir Path dir;
  private ApiFixture api;
  private String sandbox = "";
  private FakeFiles files = new FakeFiles();

  @BeforeEach
  void open() {
    api = ApiFixture.open(dir);
    sandbox = api.sandbox();
    files = api.guest(sandbox).files();
  }

  @AfterEach
  void close() {
    api.close();
  }

  private String path(String rest) {
    return "/v1/sandboxes/" + sandbox + rest;
  }

  @Test
  void aFileGoesInAndComesOut() throws IOException {
    byte[] content = {0, 1, (byte) 0xff, '\n'};
    assertThat(api.call("PUT", path("/files?path=/a/b%20c&mode=755"), content).status())
        .isEqualTo(204);
    assertThat(Files.readAllBytes(files.real("/a/b c"))).isEqualTo(content);
    ApiFixture.Answer stat = api.get(path("/files/stat?path=/a/b%20c"));
    assertThat(stat.text())
        .isEqualTo(
            "{\"kind\":\"file\",\"bytes\":4,\"mode\":\"0644\",\"modified_unix_ms\":1000,"
                + "\"target\":null,\"path\":\"/a/b c\"}");
    ApiFixture.Answer read = api.get(path("/files?path=/a/b%20c"));
    assertThat(read.status()).isEqualTo(200);
    assertThat(read.type()).isEqualTo("application/octet-stream");
    JsonNode list = api.get(path("/files/list?path=/a")).json();
    assertThat(list.findValuesAsString("name")).containsExactly("b c");
    assertThat(api.delete(path("/files?path=/a/b%20c")).status()).isEqualTo(204);
    assertThat(api.get(path("/files/stat?path=/a/b%20c")).status()).isEqualTo(404);
  }

  @Test
  void directoriesAreMadeAndRemoved() throws IOException {
    assertThat(api.post(path("/files/mkdir"), "{\"path\":\"/d\"}").status()).isEqualTo(204);
    assertThat(api.post(path("/files/mkdir"), "{\"path\":\"/d\"}").status()).isEqualTo(409);
    assertThat(api.post(path("/files/mkdir"), "{\"path\":\"/d/e/f\",\"parents\":true}").status())
        .isEqualTo(204);
    assertThat(api.delete(path("/files?path=/d")).status()).isEqualTo(409);
    assertThat(api.delete(path("/files?path=/d&recursive=true")).status()).isEqualTo(204);
    assertThat(files.real("/d")).doesNotExist();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "GET    | /files                        | 400",
        "GET    | /files?path=relative          | 400",
        "GET    | /files?path=/a%00b            | 400",
        "GET    | /files?path=/none             | 404",
        "GET    | /files?path=/                 | 400",
        "PUT    | /files?path=/x&mode=9         | 400",
        "PUT    | /files?path=/full             | 503",
        "DELETE | /files?path=/                 | 400",
        "DELETE | /files?path=/..&recursive=true | 400",
        "GET    | /files/list?path=/none        | 404",
        "GET    | /tree?path=/none              | 404",
        "PUT    | /tree                         | 400",
        "POST   | /files/mkdir                  | 415",
      })
  void badRequestsAreRefused(String method, String rest, int status) throws IOException {
    assertThat(api.call(method, path(rest), NOTHING).status()).isEqualTo(status);
    assertThat(api.call(method, path(rest).replace(sandbox, "nope"), NOTHING).status())
        .isIn(404, status);
  }

  @Test
  void aTreeGoesInAndComesOutByTheClient() throws IOException {
    Path tree = Files.createDirectories(dir.resolve("tree"));
    Files.createDirectories(tree.resolve("sub/deep"));
    Files.writeString(tree.resolve("sub/deep/file"), "x".repeat(100_000));
    Files.writeString(tree.resolve("empty-é"), "");
    Files.createSymbolicLink(tree.resolve("sub/link"), Path.of("deep/file"));
    try (ForkdClient client = new ForkdClient(new Endpoint.Unix(api.socket()), "")) {
      var remote = client.files(new SandboxId(sandbox));
      remote.upload(tree, "/work");
      assertThat(Files.readSymbolicLink(files.real("/work/sub/link")).toString())
          .isEqualTo("deep/file");
      Path back = dir.resolve("back");
      remote.download("/work", back);
      assertThat(back.resolve("sub/deep/file")).hasContent("x".repeat(100_000));
      assertThat(back.resolve("empty-é")).isEmptyFile();
      assertThat(back.resolve("sub/link")).isSymbolicLink().hasContent("x".repeat(100_000));
      assertThatThrownBy(() -> remote.download("/work", back))
          .isInstanceOf(ForkdException.class)
          .hasMessageContaining("there already");
    }
  }

  private static byte[] tar(String name, byte type, String link) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (TarArchiveOutputStream tar = new TarArchiveOutputStream(bytes)) {
      TarArchiveEntry entry = new TarArchiveEntry(name, type, true);
      entry.setLinkName(link);
      tar.putArchiveEntry(entry);
      tar.closeArchiveEntry();
    }
    return bytes.toByteArray();
  }

  /** An archive with this entry, refused both on its way in and on its way out of a sandbox. */
  private void refused(String name, byte type, String link) throws IOException {
    byte[] tar = tar(name, type, link);
    ApiFixture.Answer answer = api.call("PUT", path("/tree?path=/into"), tar);
    assertThat(answer.status()).as(answer.text()).isEqualTo(400);
    assertThat(answer.json().path("error").asString()).contains("is refused");
    Path into = dir.resolve("into");
    assertThatThrownBy(
            () -> dev.forkd.archive.HostTree.unpack(new java.io.ByteArrayInputStream(tar), into))
        .isInstanceOf(ForkdException.class);
    assertThat(Files.exists(into, LinkOption.NOFOLLOW_LINKS)).isFalse();
    assertThat(dir.resolve("evil")).doesNotExist();
    try (var left = Files.list(dir)) {
      assertThat(left.map(Path::toString)).noneMatch(name2 -> name2.contains(".forkd-cp-"));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"../evil", "a/../../evil", "/evil", "/etc/passwd", "a/.."})
  void namesThatLeadOutsideAreRefused(String name) throws IOException {
    refused(name, TarConstants.LF_NORMAL, "");
  }

  @ParameterizedTest
  @ValueSource(strings = {"/etc/passwd", "../evil", "a/../../evil", "..", ""})
  void linksThatLeadOutsideAreRefused(String target) throws IOException {
    refused("link", TarConstants.LF_SYMLINK, target);
  }

  @Test
  void whatIsNoFileIsRefused() throws IOException {
    refused("hard", TarConstants.LF_LINK, "link");
    refused("device", TarConstants.LF_CHR, "");
    refused("pipe", TarConstants.LF_FIFO, "");
    assertThat(
            api.call("PUT", path("/tree?path=/x"), "no tar".repeat(200).getBytes(UTF_8)).status())
        .isEqualTo(400);
  }

  @Test
  void aLinkIsNotThereYetWhenAFileIsWrittenThroughIt() throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (TarArchiveOutputStream tar = new TarArchiveOutputStream(bytes)) {
      TarArchiveEntry link = new TarArchiveEntry("a", TarConstants.LF_SYMLINK);
      link.setLinkName("b");
      tar.putArchiveEntry(link);
      tar.closeArchiveEntry();
      TarArchiveEntry file = new TarArchiveEntry("a/file");
      file.setSize(1);
      tar.putArchiveEntry(file);
      tar.write('x');
      tar.closeArchiveEntry();
    }
    assertThat(api.call("PUT", path("/tree?path=/t"), bytes.toByteArray()).status()).isEqualTo(409);
    assertThat(files.real("/t/a/file")).hasContent("x");
    assertThat(files.real("/t/b")).doesNotExist();
  }
}

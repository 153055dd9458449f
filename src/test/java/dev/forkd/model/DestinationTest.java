package dev.forkd.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class DestinationTest {
  @ParameterizedTest
  @ValueSource(
      strings = {
        "pypi.org",
        "pypi.org:443",
        "*.pythonhosted.org:443",
        "192.0.2.7",
        "192.0.2.0/24",
        "10.0.0.0/8:5432",
        "10.0.0.0/8:1000-2000/udp",
        "a-b.example:53/udp"
      })
  void isWrittenAsItWasRead(String text) {
    assertThat(Destination.of(text)).hasToString(text);
  }

  @Test
  void tcpIsMeantWhereNothingIsSaid() {
    assertThat(Destination.of("x.example:80/tcp"))
        .isEqualTo(
            new Destination(
                "x.example",
                32,
                Optional.of(new Destination.Ports(80, 80)),
                Destination.Protocol.TCP));
  }

  @Test
  void aPatternMeansNamesBelowAndNotItself() {
    Destination pattern = Destination.of("*.Example.ORG.");
    assertThat(pattern.covers("a.example.org")).isTrue();
    assertThat(pattern.covers("a.b.example.org")).isTrue();
    assertThat(pattern.covers("example.org")).isFalse();
    assertThat(pattern.covers("anexample.org")).isFalse();
    assertThat(Destination.of("Example.org").covers("example.org")).isTrue();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        " ",
        "x y",
        "*",
        "a.*.example",
        "*.example/24",
        "x.example/24",
        "192.0.2.0/33",
        "256.0.0.1",
        "192.0.2.1:0",
        "192.0.2.1:70000",
        "192.0.2.1:9-8",
        "192.0.2.1/udp",
        "192.0.2.1:80/icmp",
        "::1",
        "http://x.example",
        "x.example:80; accept",
        "x.example\naccept"
      })
  void whatIsNoneIsRefusedWithTheForm(String text) {
    assertThatThrownBy(() -> Destination.of(text))
        .isInstanceOfSatisfying(
            ForkdException.class, e -> assertThat(e.kind()).isEqualTo(FailureKind.INVALID));
  }

  @Test
  void aListNeedsAWayOut() {
    assertThatThrownBy(() -> new NetworkPolicy(Network.LOCAL, Optional.of(List.of())))
        .hasMessageContaining("needs the network nat");
  }
}

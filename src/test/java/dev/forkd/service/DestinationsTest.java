package dev.forkd.service;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.forkd.model.Destination;
import dev.forkd.model.Network;
import dev.forkd.model.NetworkPolicy;
import java.io.IOException;
import java.net.Inet4Address;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.InstantSource;
import java.util.Optional;
import java.util.regex.MatchResult;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class DestinationsTest {
  private static final Destinations DESTINATIONS =
      new Destinations(Resolver.of(""), InstantSource.system());

  @Test
  void addressesAndPortsBecomeRules() {
    assertThat(resolve("192.0.2.0/24", "192.0.2.7:80-90", "10.0.0.1:53/udp").reach().rules())
        .containsExactly("192.0.2.0/24 any 0 0", "192.0.2.7/32 tcp 80 90", "10.0.0.1/32 udp 53 53");
  }

  @Test
  void withoutAListPublicAddressesAndNameServersAreReached() {
    Destinations.Resolved all = DESTINATIONS.resolve(NetworkPolicy.of(Network.NAT));
    assertThat(all.reach().rules()).first().isEqualTo("public");
    assertThat(all.reach().rules()).hasSize(1 + 2 * all.servers().size());
    assertThat(all.resolverFile().lines()).hasSize(1 + all.servers().size());
  }

  @Test
  void aNameThatLeadsIntoThisNetworkIsRefused() {
    assertThatThrownBy(() -> resolve("localhost:80"))
        .hasMessageContaining("localhost leads to 127.0.0.1, which is not public");
  }

  @Test
  void theRangesAreThoseOfTheRules() throws IOException {
    String rules = Files.readString(Path.of("native/net/rules.c"));
    int from = rules.indexOf("#define NOT_PUBLIC");
    Matcher range =
        Pattern.compile("[0-9.]+/[0-9]+").matcher(rules.substring(from, rules.indexOf('}', from)));
    assertThat(range.results().map(MatchResult::group))
        .isNotEmpty()
        .containsExactlyElementsOf(AddressRanges.NOT_PUBLIC);
  }

  @ParameterizedTest
  @CsvSource({
    "10.0.0.1, false", "100.64.0.1, false", "100.128.0.1, true", "172.31.255.255, false",
    "172.32.0.0, true", "198.19.0.1, false", "239.1.1.1, false", "255.255.255.255, false",
    "0.1.2.3, false", "8.8.8.8, true", "192.0.2.1, true"
  })
  void anAddressIsPublicOrNot(String address, boolean expected) {
    assertThat(AddressRanges.isPublic(Inet4Address.ofLiteral(address))).isEqualTo(expected);
  }

  @Test
  void anUnknownNameIsTold() {
    assertThatThrownBy(() -> resolve("no-such-host.invalid:80"))
        .hasMessageContaining("no-such-host.invalid");
  }

  private static Destinations.Resolved resolve(String... allow) {
    return DESTINATIONS.resolve(
        new NetworkPolicy(
            Network.NAT, Optional.of(Stream.of(allow).map(Destination::of).toList())));
  }
}

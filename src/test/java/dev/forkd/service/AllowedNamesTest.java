package dev.forkd.service;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.forkd.model.Destination;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.xbill.DNS.ARecord;
import org.xbill.DNS.DClass;
import org.xbill.DNS.Message;
import org.xbill.DNS.Name;
import org.xbill.DNS.Rcode;
import org.xbill.DNS.Record;
import org.xbill.DNS.Section;
import org.xbill.DNS.Type;

class AllowedNamesTest {
  private Instant now = Instant.EPOCH;
  private TestNameServer server;

  @BeforeEach
  void listen() throws IOException {
    server = new TestNameServer();
    server.lead("a.test", "192.88.99.7");
  }

  @AfterEach
  void close() {
    server.close();
  }

  private AllowedNames names(String... allow) {
    return new AllowedNames(
        Stream.of(allow).map(Destination::of).toList(), server.resolver(), () -> now);
  }

  private static List<String> ask(AllowedNames names, String name) throws IOException {
    Message reply = exchange(names, name, Type.A);
    List<String> told = new ArrayList<>(List.of(Rcode.string(reply.getHeader().getRcode())));
    for (Record record : reply.getSection(Section.ANSWER)) {
      told.add(((ARecord) record).getAddress().getHostAddress());
    }
    return told;
  }

  private static Message exchange(AllowedNames names, String name, int type) throws IOException {
    Record what = Record.newRecord(Name.fromString(name + "."), type, DClass.IN);
    Message asked = Message.newQuery(what);
    Message reply = new Message(names.answer(asked.toWire()).orElseThrow());
    assertThat(reply.getHeader().getID()).isEqualTo(asked.getHeader().getID());
    assertThat(requireNonNull(reply.getQuestion())).isEqualTo(what);
    return reply;
  }

  @Test
  void whatANameLeadsToIsLetThroughAndTold() throws IOException {
    AllowedNames names = names("A.test.:443", "a.test:80", "10.0.0.5:5432");
    assertThat(names.rules()).containsExactly("10.0.0.5/32 tcp 5432 5432");
    assertThat(ask(names, "a.TEST")).containsExactly("NOERROR", "192.88.99.7");
    assertThat(names.rules())
        .containsExactly(
            "192.88.99.7/32 tcp 443 443", "192.88.99.7/32 tcp 80 80", "10.0.0.5/32 tcp 5432 5432");
    assertThat(names.refused()).isEmpty();
  }

  @Test
  void aNameMayMoveAndWhatItLeftIsLetThroughForAnHour() throws IOException {
    AllowedNames names = names("a.test:80");
    ask(names, "a.test");
    server.lead("a.test", "192.88.99.8");
    now = now.plus(Duration.ofMinutes(59));
    assertThat(ask(names, "a.test")).containsExactly("NOERROR", "192.88.99.8");
    assertThat(names.rules())
        .containsExactly("192.88.99.7/32 tcp 80 80", "192.88.99.8/32 tcp 80 80");
    now = now.plus(Duration.ofMinutes(2));
    ask(names, "a.test");
    assertThat(names.rules()).containsExactly("192.88.99.8/32 tcp 80 80");
  }

  @Test
  void anAddressThatIsNotPublicIsNeitherToldNorLetThrough() throws IOException {
    AllowedNames names = names("a.test:80");
    server.lead("a.test", "169.254.169.254", "192.88.99.8");
    assertThat(ask(names, "a.test")).containsExactly("NOERROR", "192.88.99.8");
    server.lead("a.test", "10.0.0.1");
    assertThat(ask(names, "a.test")).containsExactly("NXDOMAIN");
    assertThat(names.rules()).containsExactly("192.88.99.8/32 tcp 80 80");
    assertThat(names.refused()).containsExactly("a.test udp 53");
    assertThatThrownBy(() -> names.learn("a.test"))
        .hasMessageContaining("leads to 10.0.0.1, which is not public");
  }

  @Test
  void aPatternMeansAllNamesBelow() throws IOException {
    AllowedNames names = names("*.test:80");
    assertThat(ask(names, "a.test")).containsExactly("NOERROR", "192.88.99.7");
    assertThat(ask(names, "test")).containsExactly("NXDOMAIN");
    assertThat(ask(names, "xtest")).containsExactly("NXDOMAIN");
    server.lead("b.c.test", "192.88.99.8");
    assertThat(ask(names, "b.c.test")).containsExactly("NOERROR", "192.88.99.8");
    assertThat(names.rules()).hasSize(2);
  }

  @Test
  void otherNamesDoNotExist() throws IOException {
    AllowedNames names = names("a.test:80");
    server.lead("other.test", "192.88.99.8");
    assertThat(ask(names, "other.test")).containsExactly("NXDOMAIN");
    assertThat(ask(names, "a.test.evil.test")).containsExactly("NXDOMAIN");
    assertThat(names.rules()).isEmpty();
    assertThat(names.refused()).containsExactly("other.test udp 53", "a.test.evil.test udp 53");
    for (int i = 0; i < 300; i++) {
      ask(names, "n" + i + ".test");
    }
    assertThat(names.refused()).hasSize(256).contains("n299.test udp 53");
  }

  @Test
  void thereIsNothingButAddresses() throws IOException {
    AllowedNames names = names("a.test:80");
    for (int type : new int[] {Type.AAAA, Type.TXT, Type.HTTPS, Type.MX}) {
      Message reply = exchange(names, "a.test", type);
      assertThat(reply.getHeader().getRcode()).isEqualTo(Rcode.NOERROR);
      assertThat(reply.getSection(Section.ANSWER)).isEmpty();
    }
  }

  @Test
  void aNameWithManyAddressesFitsIntoAMessageAndTheRulesAreBounded() throws IOException {
    String[] many =
        Stream.iterate(1, i -> i + 1).limit(60).map(i -> "192.88.99." + i).toArray(String[]::new);
    String longest = ("x".repeat(60) + ".").repeat(4) + "test";
    server.lead(longest, many);
    AllowedNames names = names("*.test");
    assertThat(ask(names, longest)).hasSize(1 + 12);
    for (int i = 0; i < 700; i++) {
      server.lead("n" + i + ".test", "192.88." + i / 256 + "." + i % 256);
      ask(names, "n" + i + ".test");
    }
    assertThat(names.rules()).hasSize(512).contains("192.88.2.187/32 any 0 0");
  }

  @Test
  void whatIsNoQuestionIsNotAnswered() throws IOException {
    AllowedNames names = names("a.test:80");
    Message asked =
        Message.newQuery(Record.newRecord(Name.fromString("a.test."), Type.A, DClass.IN));
    byte[] good = asked.toWire();
    asked.getHeader().setFlag(0); // an answer
    assertThat(names.answer(asked.toWire())).isEmpty();
    assertThat(names.answer(new byte[0])).isEmpty();
    Random random = new Random(7);
    for (int i = 0; i < 20_000; i++) {
      byte[] bad = good.clone();
      for (int flips = random.nextInt(4); flips >= 0; flips--) {
        bad[random.nextInt(bad.length)] = (byte) random.nextInt();
      }
      names.answer(java.util.Arrays.copyOf(bad, random.nextInt(bad.length + 1)));
    }
    assertThat(ask(names, "a.test")).containsExactly("NOERROR", "192.88.99.7");
  }

  @Test
  void aServerIsAnAddress() {
    for (String bad :
        List.of("localhost", "1.2.3.4:0x", "1.2.3.4:99999", "1.2.3.4,", "999.1.1.1")) {
      assertThatThrownBy(() -> Resolver.of(bad)).hasMessageContaining("not a name server");
    }
  }
}

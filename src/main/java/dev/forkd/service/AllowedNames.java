package dev.forkd.service;

import dev.forkd.engine.Names;
import dev.forkd.model.Destination;
import java.io.IOException;
import java.net.InetAddress;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.SequencedSet;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.xbill.DNS.ARecord;
import org.xbill.DNS.DClass;
import org.xbill.DNS.Flags;
import org.xbill.DNS.Message;
import org.xbill.DNS.Name;
import org.xbill.DNS.Opcode;
import org.xbill.DNS.Rcode;
import org.xbill.DNS.Record;
import org.xbill.DNS.Section;
import org.xbill.DNS.Type;

/**
 * The name server of one sandbox with a list: names of the list are looked up when it asks, and
 * what they lead to at that moment is let through, by the rules, before it is told. So a name may
 * move, and nobody who answers for it chooses what else is reached: an address that is not public
 * is neither told nor let through. An address stays let through for a while after it was told last,
 * for programs that keep it longer than they should. All other names do not exist. Thread-safe.
 */
final class AllowedNames implements Names {
  private static final Logger LOG = LoggerFactory.getLogger(AllowedNames.class);
  private static final Duration KEPT = Duration.ofHours(1);
  private static final int MAX_MESSAGE = 512;
  private static final int MAX_TOLD = 12; // fits into a message with the longest name
  private static final int MAX_TTL = 60;
  private static final int MAX_REFUSED = 256;

  /** All of the rules are 1024 lines at the most; a policy has 256 destinations. */
  private static final int MAX_LEARNED = 512;

  private final List<Destination> destinations;
  private final Resolver resolver;
  private final InstantSource clock;
  private final SequencedMap<Learned, Instant> learned = new LinkedHashMap<>();
  private final SequencedSet<String> refused = new LinkedHashSet<>();

  /** What a destination that is a name led to. */
  private record Learned(Destination destination, String address) {}

  AllowedNames(List<Destination> destinations, Resolver resolver, InstantSource clock) {
    this.destinations = List.copyOf(destinations);
    this.resolver = resolver;
    this.clock = clock;
  }

  /**
   * Looks a name up, for all that the list says of it.
   *
   * @throws Resolver.NotFound also when it leads to addresses of which none is public
   */
  List<Resolver.Found> learn(String name) throws Resolver.NotFound {
    List<Resolver.Found> found = resolver.addresses(name);
    List<Resolver.Found> open =
        found.stream()
            .filter(one -> AddressRanges.isPublic(one.address()))
            .limit(MAX_TOLD)
            .toList();
    if (open.isEmpty()) {
      throw new Resolver.NotFound(
          "leads to "
              + found.getFirst().address().getHostAddress()
              + ", which is not public; name that address itself if it is meant");
    }
    destinations.stream().filter(one -> one.covers(name)).forEach(one -> keep(one, open));
    return open;
  }

  private synchronized void keep(Destination destination, List<Resolver.Found> found) {
    Instant now = clock.instant();
    for (Resolver.Found one : found) {
      learned.putLast(new Learned(destination, one.address().getHostAddress()), now.plus(KEPT));
    }
    while (learned.size() > MAX_LEARNED || learned.firstEntry().getValue().isBefore(now)) {
      learned.pollFirstEntry();
    }
  }

  /** For another sandbox: it knows what this one has learned so far, and learns by itself. */
  synchronized AllowedNames copy() {
    AllowedNames copy = new AllowedNames(destinations, resolver, clock);
    copy.learned.putAll(learned);
    return copy;
  }

  @Override
  public synchronized List<String> rules() {
    return destinations.stream()
        .flatMap(destination ->
            destination.isName()
                ? learned.keySet().stream()
                    .filter(one -> one.destination().equals(destination))
                    .map(one -> Destinations.rule(destination, one.address()))
                : List.of(Destinations.rule(destination, destination.host())).stream())
        .distinct()
        .toList();
  }

  @Override
  public Optional<byte[]> answer(byte[] question) {
    try {
      Message asked = new Message(question);
      Record what = asked.getQuestion();
      boolean isQuestion =
          what != null
              && !asked.getHeader().getFlag(Flags.QR)
              && asked.getHeader().getOpcode() == Opcode.QUERY
              && asked.getHeader().getCount(Section.QUESTION) == 1;
      return isQuestion ? Optional.of(answer(asked, what)) : Optional.empty();
    } catch (IOException e) {
      LOG.debug("event=no_question reason=\"{}\"", e.toString());
      return Optional.empty();
    }
  }

  private byte[] answer(Message asked, Record what) {
    Message reply = new Message(asked.getHeader().getID());
    reply.getHeader().setFlag(Flags.QR);
    reply.getHeader().setFlag(Flags.RA);
    if (asked.getHeader().getFlag(Flags.RD)) {
      reply.getHeader().setFlag(Flags.RD);
    }
    reply.addRecord(what, Section.QUESTION);
    String name = what.getName().toString(true).toLowerCase(Locale.ROOT);
    if (what.getDClass() != DClass.IN || destinations.stream().noneMatch(d -> d.covers(name))) {
      refuse(name, "is not in `allow`");
      reply.getHeader().setRcode(Rcode.NXDOMAIN);
      return reply.toWire(MAX_MESSAGE);
    }
    if (what.getType() != Type.A && what.getType() != Type.ANY) {
      return reply.toWire(MAX_MESSAGE); // it has none of that type
    }
    try {
      learn(name).forEach(one -> reply.addRecord(told(what.getName(), one), Section.ANSWER));
    } catch (Resolver.NotFound e) {
      refuse(name, e.why());
      reply.getHeader().setRcode(Rcode.NXDOMAIN);
    }
    return reply.toWire(MAX_MESSAGE);
  }

  private static Record told(Name name, Resolver.Found found) {
    InetAddress address = found.address();
    return new ARecord(name, DClass.IN, Math.clamp(found.ttl(), 1, MAX_TTL), address);
  }

  private synchronized void refuse(String name, String why) {
    LOG.debug("event=name_refused name={} reason=\"{}\"", name, why);
    refused.addLast(name);
    while (refused.size() > MAX_REFUSED) {
      refused.removeFirst();
    }
  }

  @Override
  public synchronized List<String> refused() {
    return refused.stream().map(name -> name + " udp 53").toList();
  }
}

package dev.forkd.model;

import java.util.Locale;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Something that a sandbox may reach: {@code HOST[:PORT[-PORT]][/tcp|/udp]}, where HOST is a name,
 * an IPv4 address, {@code ADDRESS/BITS}, or {@code *.NAME} for all names below one.
 *
 * @param host a name, a pattern of names or an address
 * @param bits of the address that count; 32 for a name
 * @param ports empty = all of every protocol
 * @param protocol of the ports
 */
@SuppressWarnings("OptionalUsedAsFieldOrParameterType") // absence is part of the data
public record Destination(String host, int bits, Optional<Ports> ports, Protocol protocol) {
  private static final Pattern FORM =
      Pattern.compile(
          "((?:\\*\\.)?[A-Za-z0-9._-]{1,253})(?:/([0-9]{1,2}))?"
              + "(?::([0-9]{1,5})(?:-([0-9]{1,5}))?)?(?:/(tcp|udp))?");
  private static final Pattern ADDRESS = Pattern.compile("[0-9]{1,3}(?:\\.[0-9]{1,3}){3}");
  private static final String ANY_BELOW = "*.";
  private static final int ALL_BITS = 32;
  private static final int MAX_PORT = 65_535;
  private static final int MAX_OCTET = 255;

  /** Which ports. */
  public record Ports(int low, int high) {
    public Ports {
      if (low < 1 || high > MAX_PORT || low > high) {
        throw new ForkdException(
            FailureKind.INVALID, "ports are 1 to 65535, not " + low + " to " + high);
      }
    }
  }

  /** Of the transport layer. */
  public enum Protocol {
    TCP,
    UDP
  }

  /**
   * Reads one.
   *
   * @throws ForkdException INVALID with the form that is wanted
   */
  public static Destination of(String text) {
    Matcher matcher = FORM.matcher(text);
    if (!matcher.matches()) {
      throw invalid(text, "write HOST, HOST:PORT or HOST:PORT-PORT, with /udp where it is not tcp");
    }
    String host = matcher.group(1);
    boolean address = isAddress(host);
    if (matcher.group(2) != null && !address) {
      throw invalid(text, "only an address has /BITS");
    }
    int bits = matcher.group(2) == null ? ALL_BITS : Integer.parseInt(matcher.group(2));
    if (bits > ALL_BITS) {
      throw invalid(text, "an address has 32 bits");
    }
    Optional<Ports> ports = ports(matcher);
    if (ports.isEmpty() && matcher.group(5) != null) {
      throw invalid(text, "name the port of the protocol");
    }
    return new Destination(
        host, bits, ports, "udp".equals(matcher.group(5)) ? Protocol.UDP : Protocol.TCP);
  }

  private static Optional<Ports> ports(Matcher matcher) {
    if (matcher.group(3) == null) {
      return Optional.empty();
    }
    int low = Integer.parseInt(matcher.group(3));
    int high = matcher.group(4) == null ? low : Integer.parseInt(matcher.group(4));
    return Optional.of(new Ports(low, high));
  }

  private static boolean isAddress(String host) {
    if (!ADDRESS.matcher(host).matches()) {
      return false;
    }
    for (String octet : host.split("\\.", -1)) {
      if (Integer.parseInt(octet) > MAX_OCTET) {
        throw invalid(host, "no number of an address is above 255");
      }
    }
    return true;
  }

  private static ForkdException invalid(String text, String why) {
    return new ForkdException(FailureKind.INVALID, "not a destination: \"" + text + "\": " + why);
  }

  /** Whether it is a name, and no address. */
  public boolean isName() {
    return !ADDRESS.matcher(host).matches();
  }

  /** Whether it stands for all names below one. */
  public boolean isPattern() {
    return host.startsWith(ANY_BELOW);
  }

  /** The host in small letters and without a dot at its end. */
  public String name() {
    String small = host.toLowerCase(Locale.ROOT);
    return small.endsWith(".") ? small.substring(0, small.length() - 1) : small;
  }

  /** Whether it means a name that is written so. */
  public boolean covers(String other) {
    return isPattern() ? other.endsWith(name().substring(1)) : name().equals(other);
  }

  /** As it is written. */
  @Override
  public String toString() {
    String size = bits == ALL_BITS ? "" : "/" + bits;
    String range =
        ports.map(p -> ":" + p.low() + (p.low() == p.high() ? "" : "-" + p.high())).orElse("");
    String suffix = protocol == Protocol.TCP ? "" : "/" + protocol.name().toLowerCase(Locale.ROOT);
    return host + size + range + suffix;
  }
}

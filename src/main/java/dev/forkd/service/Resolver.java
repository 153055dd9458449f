package dev.forkd.service;

import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.xbill.DNS.ARecord;
import org.xbill.DNS.ExtendedResolver;
import org.xbill.DNS.Name;
import org.xbill.DNS.SimpleResolver;
import org.xbill.DNS.Type;
import org.xbill.DNS.lookup.LookupResult;
import org.xbill.DNS.lookup.LookupSession;
import org.xbill.DNS.lookup.NoSuchDomainException;
import org.xbill.DNS.lookup.NoSuchRRSetException;

/**
 * Looks up the names of policies: at the host's name servers and in its hosts file, or at servers
 * that an operator chose. Answers are kept for as long as they say. Thread-safe.
 */
public final class Resolver {
  private static final Duration DEADLINE = Duration.ofSeconds(10);
  private static final Duration OF_ONE_SERVER = Duration.ofSeconds(3);
  private static final Pattern SERVER =
      Pattern.compile("([0-9]{1,3}(?:\\.[0-9]{1,3}){3})(?::([0-9]{1,5}))?");
  private static final int PORT = 53;
  private static final int MAX_PORT = 65_535;

  private final LookupSession session;

  private Resolver(LookupSession session) {
    this.session = session;
  }

  /**
   * An address that a name leads to.
   *
   * @param ttl seconds for which it does; 0 for one of the hosts file
   */
  record Found(InetAddress address, long ttl) {}

  /** Why there is none, as a part of a sentence. */
  static final class NotFound extends Exception {
    private static final long serialVersionUID = 1;

    private final String why;

    NotFound(String why) {
      super(why);
      this.why = why;
    }

    String why() {
      return why;
    }
  }

  /**
   * Asks these servers.
   *
   * @param servers ADDRESS[:PORT] with commas between; "" = as the host does
   * @throws ForkdException INVALID for what is none
   */
  public static Resolver of(String servers) {
    try {
      ExtendedResolver asked =
          servers.isEmpty() ? new ExtendedResolver() : new ExtendedResolver(each(servers));
      asked.setTimeout(OF_ONE_SERVER);
      return new Resolver(LookupSession.defaultBuilder().resolver(asked).build());
    } catch (UnknownHostException e) {
      throw invalid(servers);
    }
  }

  private static List<org.xbill.DNS.Resolver> each(String servers) throws UnknownHostException {
    List<org.xbill.DNS.Resolver> each = new ArrayList<>();
    for (String server : servers.split(",", -1)) {
      each.add(new SimpleResolver(address(server.strip())));
    }
    return each;
  }

  private static InetSocketAddress address(String server) throws UnknownHostException {
    Matcher form = SERVER.matcher(server);
    int port = form.matches() && form.group(2) != null ? Integer.parseInt(form.group(2)) : PORT;
    if (!form.matches() || port > MAX_PORT) {
      throw invalid(server);
    }
    return new InetSocketAddress(InetAddress.getByName(form.group(1)), port);
  }

  private static ForkdException invalid(String server) {
    return new ForkdException(
        FailureKind.INVALID,
        "not a name server: \""
            + server
            + "\": write IPv4 addresses, with :PORT where it is not 53");
  }

  /**
   * The IPv4 addresses of a name, at least one.
   *
   * @throws NotFound when it has none, or nobody tells in time
   */
  List<Found> addresses(String name) throws NotFound {
    try {
      Name absolute = Name.fromString(name, Name.root);
      LookupResult result =
          session
              .lookupAsync(absolute, Type.A)
              .toCompletableFuture()
              .get(DEADLINE.toMillis(), TimeUnit.MILLISECONDS);
      List<Found> found =
          result.getRecords().stream()
              .filter(ARecord.class::isInstance)
              .map(ARecord.class::cast)
              .map(record -> new Found(record.getAddress(), record.getTTL()))
              .toList();
      if (found.isEmpty()) {
        throw new NotFound("has no IPv4 address");
      }
      return found;
    } catch (ExecutionException e) {
      throw new NotFound(why(Optional.ofNullable(e.getCause()).orElse(e)));
    } catch (TimeoutException e) {
      throw new NotFound("was not resolved within " + DEADLINE.toSeconds() + " s");
    } catch (IOException e) {
      throw new NotFound("is no name of DNS");
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new NotFound("was not resolved: interrupted");
    }
  }

  private static String why(Throwable cause) {
    return switch (cause) {
      case NoSuchDomainException _ -> "is unknown";
      case NoSuchRRSetException _ -> "has no IPv4 address";
      default -> "cannot be resolved: " + cause.getMessage();
    };
  }
}

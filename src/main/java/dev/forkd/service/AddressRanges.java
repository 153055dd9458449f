package dev.forkd.service;

import java.net.Inet4Address;
import java.net.InetAddress;
import java.nio.ByteBuffer;
import java.util.List;

/** Addresses that are not public: private, shared, link-local, multicast and reserved ones. */
final class AddressRanges {
  /** The same as in native/net/rules.c, which a test holds them to. */
  static final List<String> NOT_PUBLIC =
      List.of(
          "0.0.0.0/8",
          "10.0.0.0/8",
          "100.64.0.0/10",
          "127.0.0.0/8",
          "169.254.0.0/16",
          "172.16.0.0/12",
          "192.168.0.0/16",
          "198.18.0.0/15",
          "224.0.0.0/3");

  private AddressRanges() {}

  static boolean isPublic(InetAddress address) {
    return NOT_PUBLIC.stream().noneMatch(range -> contains(range, address));
  }

  private static boolean contains(String range, InetAddress address) {
    int slash = range.indexOf('/');
    int bits = Integer.parseInt(range.substring(slash + 1));
    int network = number(Inet4Address.ofLiteral(range.substring(0, slash)));
    return (network ^ number(address)) >>> (Integer.SIZE - bits) == 0;
  }

  private static int number(InetAddress address) {
    return ByteBuffer.wrap(address.getAddress()).getInt();
  }
}

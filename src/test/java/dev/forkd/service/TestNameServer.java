package dev.forkd.service;

import static java.util.Objects.requireNonNull;

import java.io.IOException;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.net.SocketException;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.xbill.DNS.ARecord;
import org.xbill.DNS.DClass;
import org.xbill.DNS.Flags;
import org.xbill.DNS.Message;
import org.xbill.DNS.Rcode;
import org.xbill.DNS.Record;
import org.xbill.DNS.Section;

/** A name server on loopback, whose answers may change at any time and are never to be kept. */
final class TestNameServer implements AutoCloseable {
  private final DatagramSocket socket;
  private final Map<String, List<String>> addresses = new ConcurrentHashMap<>();

  TestNameServer() throws IOException {
    socket = new DatagramSocket(0, InetAddress.getLoopbackAddress());
    Thread.ofPlatform().daemon().name("test-names").start(this::serve);
  }

  void lead(String name, String... to) {
    addresses.put(name + ".", List.of(to));
  }

  Resolver resolver() {
    return Resolver.of("127.0.0.1:" + socket.getLocalPort());
  }

  private void serve() {
    DatagramPacket packet = new DatagramPacket(new byte[1_500], 1_500);
    try {
      while (true) {
        packet.setLength(1_500);
        socket.receive(packet);
        byte[] asked = new byte[packet.getLength()];
        System.arraycopy(packet.getData(), 0, asked, 0, asked.length);
        byte[] reply = answer(new Message(asked)).toWire();
        socket.send(new DatagramPacket(reply, reply.length, packet.getSocketAddress()));
      }
    } catch (SocketException e) {
      if (!socket.isClosed()) {
        throw new IllegalStateException(e);
      }
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
  }

  private Message answer(Message asked) throws IOException {
    Record what = requireNonNull(asked.getQuestion());
    Message reply = new Message(asked.getHeader().getID());
    reply.getHeader().setFlag(Flags.QR);
    reply.addRecord(what, Section.QUESTION);
    List<String> found = addresses.getOrDefault(what.getName().toString(), List.of());
    if (found.isEmpty()) {
      reply.getHeader().setRcode(Rcode.NXDOMAIN);
    }
    for (String address : found) {
      InetAddress parsed = InetAddress.ofLiteral(address);
      reply.addRecord(new ARecord(what.getName(), DClass.IN, 0, parsed), Section.ANSWER);
    }
    return reply;
  }

  @Override
  public void close() {
    socket.close();
  }
}

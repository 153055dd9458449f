package dev.forkd.api;

import tools.jackson.databind.node.ObjectNode;

/** Takes the events of a stream. The first one commits the status 200. */
interface EventSink {
  /**
   * Sends one event now.
   *
   * @throws ClientGone when the client has hung up
   */
  void send(ObjectNode event);

  /**
   * Sends an empty line, which readers skip: the only way to notice that a client has gone while
   * there is nothing to tell.
   *
   * @throws ClientGone when the client has hung up
   */
  void probe();
}

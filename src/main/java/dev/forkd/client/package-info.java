/**
 * A client of the REST API for the command line and for Java programs.
 *
 * <p>It speaks HTTP/1.1 by itself over a unix socket or TCP: {@code java.net.http} has no unix
 * sockets, and loading it costs a command about 450 ms. So this is a client of one server with
 * bounded heads, lines and bodies, a deadline on every wait and few classes; not a general one. A
 * connection serves one request at a time and is kept for the next one.
 *
 * <p>Every failure is a {@link dev.forkd.model.ForkdException}: the server's kind where it told one
 * (its message then ends with {@code (HTTP <code>)}), UNAVAILABLE when nobody answers, TIMEOUT when
 * a deadline passes. Absent on purpose: TLS, redirects, cookies, compression, proxies.
 */
@NullMarked
package dev.forkd.client;

import org.jspecify.annotations.NullMarked;

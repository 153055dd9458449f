// EXEC of no program but of a connection to a port of the sandbox.
#pragma once

// A connection to the port on the loopback of this process, IPv4 or else IPv6; -1: errno says why
// there is none.
int connect_open(int port);
// Passes descriptor 0 on to the connection and it on to 1, until its other end closes it.
_Noreturn void connect_relay(int connection);

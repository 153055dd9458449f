#pragma once
// "SIGSEGV", or "signal 42" for one without a name; the text is a constant or `room`.
const char *signal_name(int number, char room[16]);

package dev.forkd.model;

/**
 * Something that happened, for whoever looks later.
 *
 * @param atUnixMs when
 * @param kind such as {@code snapshot.ready} or {@code sandbox.ended}
 * @param subject the tag or id that it happened to
 * @param message one line for people
 */
public record Event(long atUnixMs, String kind, String subject, String message) {}

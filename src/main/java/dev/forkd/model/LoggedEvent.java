package dev.forkd.model;

/**
 * An event as it stands in the log.
 *
 * @param number grows by one with each event and is never used again
 * @param event what happened
 */
public record LoggedEvent(long number, Event event) {}

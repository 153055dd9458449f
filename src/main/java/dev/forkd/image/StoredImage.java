package dev.forkd.image;

/**
 * An image in the store.
 *
 * @param digest hex SHA-256, its name
 * @param kind host, apt or dir
 * @param createdAtUnix seconds
 * @param bytes what its layers in the store hold; a layer that images share counts in each
 */
public record StoredImage(String digest, String kind, long createdAtUnix, long bytes) {}

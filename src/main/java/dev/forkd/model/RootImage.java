package dev.forkd.model;

import java.nio.file.Path;
import java.util.List;

/**
 * A root file system ready to be a sandbox's read-only lower part.
 *
 * @param digest hex SHA-256 of what it was made from; equal digests mean equal content
 * @param layers directories, topmost first; together they are the root
 * @param hidden absolute paths in the image that no sandbox may see
 * @param writable absolute directories that the sandbox's root owns whatever the layers say
 */
public record RootImage(
    String digest, List<Layer> layers, List<String> hidden, List<String> writable) {
  public RootImage {
    layers = List.copyOf(layers);
    hidden = List.copyOf(hidden);
    writable = List.copyOf(writable);
  }

  /**
   * One directory of the stack.
   *
   * @param path absolute path on the host
   * @param idMapped whether its owners are image ids (0 = root of the sandbox) rather than ids of
   *     the host, whose private files must stay private
   * @param copied whether it lies inside another layer, so that overlayfs refuses it in place, and
   *     has to be copied to memory
   */
  public record Layer(Path path, boolean idMapped, boolean copied) {}
}

package dev.forkd.service;

import dev.forkd.image.ImageListener;
import dev.forkd.model.Recipe;
import dev.forkd.model.RootImage;
import java.util.Optional;
import java.util.Set;

/** Where root file systems come from, as the service needs it. */
public interface Images {
  /** Builds what the recipe asks for, or finds it built; thread-safe. */
  RootImage prepare(Recipe recipe, ImageListener listener);

  /** The image of that digest, if what it is made of is still there as it was. */
  Optional<RootImage> find(String digest);

  /** Removes all images but these, and tells how many. */
  int retain(Set<String> digests);

  /** Removes an image that no snapshot uses any more; an unknown digest is ignored. */
  void remove(String digest);
}

package dev.forkd.image;

/** Hears of the making of an image, on the thread that makes it. */
public interface ImageListener {
  /** A step begins; one line for people. */
  void progress(String message);

  /** A line that a tool wrote while the step ran. */
  void log(String line);

  /** A listener that does not listen. */
  static ImageListener silent() {
    return new ImageListener() {
      @Override
      public void progress(String message) {}

      @Override
      public void log(String line) {}
    };
  }
}

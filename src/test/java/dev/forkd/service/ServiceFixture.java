package dev.forkd.service;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.forkd.engine.Engine;
import dev.forkd.image.ImageListener;
import dev.forkd.model.EngineName;
import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import dev.forkd.model.Recipe;
import dev.forkd.model.Request;
import dev.forkd.model.RootImage;
import dev.forkd.model.SandboxInfo;
import dev.forkd.model.SnapshotInfo;
import dev.forkd.model.SnapshotMarks;
import dev.forkd.model.Tag;
import dev.forkd.store.Registry;
import dev.forkd.store.SnapshotFiles;
import dev.forkd.store.StateDirectory;
import java.nio.file.Path;
import java.time.Duration;
import java.time.InstantSource;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicInteger;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;

/** A service on a real state directory, a real registry and a fake engine. */
public final class ServiceFixture implements AutoCloseable {
  public static final String RECIPE =
      """
      name: demo
      image: host
      runtime: python
      warm:
        imports: [json]
      """;

  public final FakeEngine engine;
  public final FakeImages images = new FakeImages();
  public final StateDirectory state;
  public final Registry registry;
  public final Forkd forkd;

  private ServiceFixture(Path dir, FakeEngine engine, long budgetMib, Duration sweepInterval) {
    this.engine = engine;
    this.state = StateDirectory.open(dir.resolve("state"), dir.resolve("run"));
    this.registry = Registry.open(state.database());
    Map<EngineName, Engine> engines = Map.of(engine.name(), engine);
    this.forkd =
        Forkd.start(
            new Parts(
                registry,
                new SnapshotFiles(state.snapshots()),
                images,
                engines,
                InstantSource.system(),
                "1.2.3",
                2,
                budgetMib,
                sweepInterval,
                Resolver.of(""),
                state.instance()));
  }

  /** A service in a directory, which may hold what an earlier one left. */
  public static ServiceFixture open(Path dir) {
    return open(dir, 0);
  }

  /** As {@link #open(Path)}, with a memory budget. */
  public static ServiceFixture open(Path dir, long budgetMib) {
    return new ServiceFixture(dir, new FakeEngine(), budgetMib, Duration.ZERO);
  }

  /** As {@link #open(Path)}, and it sweeps again and again. */
  public static ServiceFixture sweeping(Path dir, Duration interval) {
    return new ServiceFixture(dir, new FakeEngine(), 0, interval);
  }

  /** That the call fails like this, with that text in its message. */
  static void assertFails(FailureKind kind, String text, ThrowingCallable call) {
    assertThatThrownBy(call)
        .isInstanceOfSatisfying(
            ForkdException.class, e -> assertThat(e.kind()).as(e.getMessage()).isEqualTo(kind))
        .hasMessageContaining(text);
  }

  public SnapshotInfo create(String tag, String recipe, boolean replace) {
    return forkd.handle(
        new Request.CreateSnapshot(
            Optional.of(new Tag(tag)),
            recipe,
            Path.of("/"),
            Optional.empty(),
            replace,
            SnapshotMarks.NONE));
  }

  public SnapshotInfo create(String tag) {
    return create(tag, RECIPE, false);
  }

  public List<SandboxInfo> fork(String tag, int n) {
    return forkd.handle(new Request.Fork(new Tag(tag), n, OptionalLong.empty()));
  }

  /** How many guests live. */
  public int guests() {
    return engine.guests().size();
  }

  public FakeGuest guest(SandboxInfo info) {
    return engine.guests().stream()
        .filter(guest -> guest.id().equals(info.id()))
        .findFirst()
        .orElseThrow();
  }

  /** The daemon dies: nothing is cleaned up, the files stay as they are. */
  public void crash() {
    registry.close();
    state.close();
  }

  @Override
  public void close() {
    forkd.close();
    registry.close();
    state.close();
  }

  /** Images that are only a digest: of the recipe's image part and of what it is made from. */
  public static final class FakeImages implements Images {
    public final List<String> removed = new CopyOnWriteArrayList<>();
    public final List<Set<String>> retained = new CopyOnWriteArrayList<>();
    public final AtomicInteger prepared = new AtomicInteger();
    private volatile String sources = "";
    private volatile boolean lost;
    private volatile Optional<Failure> failure = Optional.empty();

    /** What images are made from changes: later ones have another digest. */
    public void changeSources() {
      sources = "changed";
    }

    /** Nothing is stored any more. */
    public void lose() {
      lost = true;
    }

    /** Every later build fails like this. */
    public void failBuilds(Failure why) {
      failure = Optional.of(why);
    }

    @Override
    public RootImage prepare(Recipe recipe, ImageListener listener) {
      prepared.incrementAndGet();
      failure.ifPresent(why -> {
        throw why.thrown();
      });
      listener.progress("unpacking");
      listener.log("a line of the image build");
      return image("%064x".formatted(Objects.hash(recipe.image(), sources) & 0xffffffffL));
    }

    private static RootImage image(String digest) {
      return new RootImage(digest, List.of(), List.of(), List.of());
    }

    @Override
    public Optional<RootImage> find(String digest) {
      return lost ? Optional.empty() : Optional.of(image(digest));
    }

    @Override
    public int retain(Set<String> digests) {
      retained.add(digests);
      return 3;
    }

    @Override
    public void remove(String digest) {
      removed.add(digest);
    }
  }
}

package dev.forkd.rules;

import static com.tngtech.archunit.base.DescribedPredicate.describe;
import static com.tngtech.archunit.core.domain.JavaModifier.SYNTHETIC;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static java.util.Map.entry;
import static org.assertj.core.api.Assertions.assertThat;

import com.tngtech.archunit.base.DescribedPredicate;
import com.tngtech.archunit.core.domain.JavaAccess;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.domain.JavaCodeUnit;
import com.tngtech.archunit.core.domain.JavaMember;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.lang.ArchRule;
import com.tngtech.archunit.lang.syntax.elements.GivenClassesConjunction;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** The arrows of docs/architecture.md, and the calls that nobody makes. */
final class ArchitectureTest {
  private static final String ROOT = "dev.forkd";

  private static final Map<String, Set<String>> ARROWS =
      Map.ofEntries(
          entry("cli", Set.of("client", "fanout", "frame", "json", "model")),
          entry("fanout", Set.of("client", "json", "model")),
          entry("client", Set.of("archive", "json", "model")),
          entry("api", Set.of("service", "archive", "json", "model")),
          entry("service", Set.of("engine", "store", "image", "json", "model")),
          entry("engine", Set.of("json", "model")),
          entry("engine.network", Set.of("engine", "host", "model")),
          entry(
              "engine.process",
              Set.of("engine", "engine.network", "agent", "frame", "host", "json", "model")),
          entry(
              "engine.vm",
              Set.of("engine", "engine.network", "agent", "frame", "host", "json", "model")),
          entry("agent", Set.of("frame", "host", "model")),
          entry("frame", Set.of("model")),
          entry("image", Set.of("host", "json", "model")),
          entry("store", Set.of("host", "json", "model")),
          entry("host", Set.of("model")),
          entry("archive", Set.of("host", "model")),
          entry("json", Set.of("model")),
          entry("model", Set.of()));

  private static final JavaClasses CLASSES =
      new ClassFileImporter()
          .withImportOption(ImportOption.Predefined.DO_NOT_INCLUDE_TESTS)
          .importPackages(ROOT);

  @Test
  void packagesUseEachOtherAlongTheArrowsOnly() {
    List<String> wrong = new ArrayList<>();
    for (JavaClass from : CLASSES) {
      from.getDirectDependenciesFromSelf().stream()
          .filter(use -> !allowed(from, use.getTargetClass().getBaseComponentType()))
          .forEach(use -> wrong.add(use.getDescription()));
    }
    assertThat(wrong).isEmpty();
  }

  @Test
  void everyPackageIsOnTheMapAndOnlyMainIsInTheRoot() {
    assertThat(CLASSES)
        .filteredOn(
            c -> unit(c).isEmpty() && !isMain(c) && !c.getSimpleName().equals("package-info"))
        .extracting(JavaClass::getName)
        .isEmpty();
  }

  @Test
  void onlyApiKnowsTheHttpServer() {
    check(outside("api").should().dependOnClassesThat().resideInAPackage("io.helidon.."));
  }

  @Test
  void onlyCliKnowsTheCommandLineParser() {
    check(outside("cli").should().dependOnClassesThat().resideInAPackage("picocli.."));
  }

  @Test
  void onlyStoreKnowsTheDatabase() {
    check(
        outside("store")
            .should()
            .dependOnClassesThat()
            .resideInAnyPackage("java.sql..", "org.sqlite.."));
  }

  @Test
  void logsGoThroughSlf4j() {
    check(noClasses().should().dependOnClassesThat().resideInAPackage("java.util.logging.."));
  }

  @Test
  void nobodyKeepsStateInThreads() {
    check(noClasses().should().dependOnClassesThat().areAssignableTo(ThreadLocal.class));
  }

  @Test
  void sleepIsNoSynchronisation() {
    check(noClasses().should().accessTargetWhere(target("sleep", "java.lang.Thread")));
    check(noClasses().should().accessTargetWhere(target("sleep", "java.util.concurrent.TimeUnit")));
  }

  @Test
  void onlyMainEndsTheProcess() {
    ArchRule exit =
        noClasses().that(notMain()).should().accessTargetWhere(target("exit", "java.lang.System"));
    check(exit);
    for (String name : List.of("exit", "halt")) {
      check(
          noClasses()
              .that(notMain())
              .should()
              .accessTargetWhere(target(name, "java.lang.Runtime")));
    }
  }

  @Test
  void commandsUseTheCallersStreams() {
    for (String name : List.of("in", "out", "err")) {
      check(inside("cli").should().accessTargetWhere(target(name, "java.lang.System")));
    }
  }

  /** A component of a record is what its accessor returns, so a record may have optional ones. */
  @Test
  void nobodyTakesAnOptional() {
    List<String> wrong = new ArrayList<>();
    for (JavaClass type : CLASSES) {
      type.getCodeUnits().stream()
          .filter(unit -> isWritten(unit) && !(type.isRecord() && unit.isConstructor()))
          .filter(ArchitectureTest::takesOptional)
          .forEach(unit -> wrong.add(unit.getFullName()));
    }
    assertThat(wrong).isEmpty();
  }

  private static boolean allowed(JavaClass from, JavaClass to) {
    if (!to.getPackageName().startsWith(ROOT) || isMain(from)) {
      return true;
    }
    Optional<String> source = unit(from);
    Optional<String> target = unit(to);
    return source.isPresent()
        && target.isPresent()
        && (source.equals(target) || ARROWS.get(source.get()).contains(target.get()));
  }

  /** The longest name on the map that the class's package is or is below of. */
  private static Optional<String> unit(JavaClass type) {
    String name = type.getPackageName();
    while (name.length() > ROOT.length()) {
      String unit = name.substring(ROOT.length() + 1);
      if (ARROWS.containsKey(unit)) {
        return Optional.of(unit);
      }
      name = name.substring(0, name.lastIndexOf('.'));
    }
    return Optional.empty();
  }

  private static boolean isMain(JavaClass type) {
    String name = type.getName();
    return name.equals(ROOT + ".Main") || name.startsWith(ROOT + ".Main$");
  }

  private static DescribedPredicate<JavaClass> notMain() {
    return describe("not Main", type -> !isMain(type));
  }

  private static DescribedPredicate<JavaAccess<?>> target(String member, String owner) {
    return describe(
        owner + "." + member,
        use ->
            use.getTarget().getName().equals(member) && use.getTargetOwner().isAssignableTo(owner));
  }

  private static GivenClassesConjunction outside(String unit) {
    return noClasses().that().resideOutsideOfPackage(ROOT + "." + unit + "..");
  }

  private static GivenClassesConjunction inside(String unit) {
    return noClasses().that().resideInAPackage(ROOT + "." + unit + "..");
  }

  /**
   * The compiler hands captured variables on through members of its own; those are nobody's choice.
   */
  private static boolean isWritten(JavaMember member) {
    return !member.getModifiers().contains(SYNTHETIC) && !member.getName().startsWith("lambda$");
  }

  private static boolean takesOptional(JavaCodeUnit unit) {
    return unit.getRawParameterTypes().stream()
        .anyMatch(type -> type.isEquivalentTo(Optional.class));
  }

  private static void check(ArchRule rule) {
    rule.allowEmptyShould(true).check(CLASSES);
  }
}

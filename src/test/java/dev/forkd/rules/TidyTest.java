package dev.forkd.rules;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Predicate;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Sizes, names and leftovers, in every language of the repository. */
final class TidyTest {
  /** What breaks a rule all the same, as {@code RULE path}. This list may only shrink. */
  private static final Set<String> EXCEPTIONS = Set.of();

  private static final int MAX_COLUMNS = 100;
  private static final int MAX_FUNCTION_LINES = 70;
  private static final int MAX_FILE_LINES = 400;
  private static final Set<String> EMPTY_WORDS =
      Set.of("manager", "managers", "util", "utils", "helper", "helpers", "impl");
  private static final Pattern WORD_END = Pattern.compile("(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+");
  // Written in two parts: this file is looked through as well.
  private static final Pattern LEFTOVER = Pattern.compile("\\b(TO" + "DO|FIX" + "ME)\\b");
  private static final Path ROOT = Path.of("").toAbsolutePath();
  private static final String INFO = "package-info.java";

  /** Each says where a file breaks it. */
  enum Rule {
    COLUMNS,
    FUNCTION_LENGTH,
    FILE_LENGTH,
    FILE_NAME,
    LEFTOVERS,
    TABS;

    List<String> breaches(SourceFile file) {
      return switch (this) {
        case COLUMNS -> lines(file, line -> !isUnbreakable(line) && width(line) > MAX_COLUMNS);
        case FUNCTION_LENGTH -> longFunctions(file);
        case FILE_LENGTH -> tooLong(file.lines().size());
        case FILE_NAME -> words(file.path()).filter(EMPTY_WORDS::contains).toList();
        case LEFTOVERS -> lines(file, line -> LEFTOVER.matcher(line).find());
        case TABS -> lines(file, line -> line.indexOf('\t') >= 0);
      };
    }
  }

  @ParameterizedTest
  @EnumSource(Rule.class)
  void holds(Rule rule) throws IOException {
    List<String> found =
        SourceFile.all(ROOT).stream()
            .filter(file -> !EXCEPTIONS.contains(rule + " " + file.path()))
            .flatMap(file -> rule.breaches(file).stream().map(what -> file.path() + ": " + what))
            .toList();
    assertThat(found).as("%s", rule).isEmpty();
  }

  @Test
  void everyExceptionIsStillNeeded() throws IOException {
    Set<String> unneeded = new TreeSet<>(EXCEPTIONS);
    for (SourceFile file : SourceFile.all(ROOT)) {
      unneeded.removeIf(exception ->
          Stream.of(Rule.values())
              .filter(rule -> exception.equals(rule + " " + file.path()))
              .anyMatch(rule -> !rule.breaches(file).isEmpty()));
    }
    assertThat(unneeded).isEmpty();
  }

  @Test
  void everyPackageSaysWhatItIsFor() throws IOException {
    try (Stream<Path> files = Files.walk(ROOT.resolve("src/main/java"))) {
      List<Path> packages =
          files
              .filter(file -> file.toString().endsWith(".java"))
              .map(Path::getParent)
              .distinct()
              .toList();
      assertThat(packages)
          .isNotEmpty()
          .allSatisfy(directory ->
              assertThat(directory.resolve(INFO))
                  .content()
                  .contains("/**")
                  .contains("@NullMarked"));
    }
  }

  @Test
  void breachesAreSeen() {
    List<String> lines =
        new ArrayList<>(List.of("class X {", "\tint a; // TO" + "DO", "void f() {"));
    lines.addAll(Collections.nCopies(MAX_FILE_LINES, "f();" + " ".repeat(MAX_COLUMNS)));
    lines.addAll(List.of("}", "}"));
    SourceFile bad = new SourceFile(Path.of("SocketHelperImpl.java"), "java", lines);
    assertThat(Rule.values()).allSatisfy(rule -> assertThat(rule.breaches(bad)).isNotEmpty());
  }

  @Test
  void functionsAreMeasured() {
    assertThat(functions("java", "class A {", "  @Override", "  void f() {", "  }", "}"))
        .containsExactly(new Functions.Span(2, 3));
    assertThat(functions("c", "static int f(int a,", "             int b) {", "  g();", "}"))
        .containsExactly(new Functions.Span(1, 4));
    assertThat(
            functions(
                "py",
                "def f(",
                "    a",
                "):",
                "    '''",
                "x",
                "    '''",
                "    return",
                "",
                "b = 1"))
        .containsExactly(new Functions.Span(1, 7));
    assertThat(functions("sh", "f() {", "  g", "}", "f")).containsExactly(new Functions.Span(1, 3));
  }

  private static List<Functions.Span> functions(String language, String... lines) {
    return Functions.of(new SourceFile(Path.of("x." + language), language, List.of(lines)));
  }

  private static List<String> longFunctions(SourceFile file) {
    return Functions.of(file).stream()
        .filter(function -> function.length() > MAX_FUNCTION_LINES)
        .map(function -> "line " + function.line() + ": " + function.length() + " lines")
        .toList();
  }

  private static List<String> tooLong(int lines) {
    return lines > MAX_FILE_LINES ? List.of(lines + " lines") : List.of();
  }

  private static List<String> lines(SourceFile file, Predicate<String> breaks) {
    List<String> lines = file.lines();
    return IntStream.range(0, lines.size())
        .filter(i -> breaks.test(lines.get(i)))
        .mapToObj(i -> "line " + (i + 1))
        .toList();
  }

  private static Stream<String> words(Path path) {
    return WORD_END
        .splitAsStream(path.getFileName().toString())
        .map(w -> w.toLowerCase(Locale.ROOT));
  }

  private static int width(String line) {
    return line.codePointCount(0, line.length());
  }

  private static boolean isUnbreakable(String line) {
    return line.startsWith("import ") || line.contains("://");
  }
}

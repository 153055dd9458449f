package dev.forkd.rules;

import com.sun.source.tree.CompilationUnitTree;
import com.sun.source.tree.LineMap;
import com.sun.source.tree.MethodTree;
import com.sun.source.util.JavacTask;
import com.sun.source.util.SourcePositions;
import com.sun.source.util.TreeScanner;
import com.sun.source.util.Trees;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;
import javax.tools.JavaFileObject;
import javax.tools.SimpleJavaFileObject;
import javax.tools.ToolProvider;

/** Finds the functions of a source: exactly in Java, by layout in C, Python and shell. */
final class Functions {
  private static final Pattern C_HEAD = Pattern.compile("[A-Za-z_].*\\(.*[^;]");
  private static final Pattern PYTHON_HEAD = Pattern.compile("( *)(async )?def .*");
  private static final Pattern SHELL_HEAD = Pattern.compile("[a-z_]+\\(\\) ?\\{.*");
  private static final Pattern QUOTES = Pattern.compile("\"\"\"|'''");

  private Functions() {}

  /**
   * A function.
   *
   * @param line of its head, counted from 1
   * @param length in lines, from the head (with modifiers) to the end
   */
  record Span(int line, int length) {}

  static List<Span> of(SourceFile file) {
    return switch (file.language()) {
      case "java" -> inJava(file);
      case "c" -> betweenHeadAndBrace(file.lines(), C_HEAD);
      case "sh" -> betweenHeadAndBrace(file.lines(), SHELL_HEAD);
      case "py" -> inPython(file.lines());
      default -> throw new IllegalArgumentException("no such language: " + file.language());
    };
  }

  private static List<Span> inJava(SourceFile file) {
    JavacTask task =
        (JavacTask)
            ToolProvider.getSystemJavaCompiler()
                .getTask(null, null, null, null, null, List.of(new Text(file)));
    List<Span> found = new ArrayList<>();
    try {
      for (CompilationUnitTree unit : task.parse()) {
        unit.accept(new Methods(unit, Trees.instance(task).getSourcePositions(), found), null);
      }
    } catch (IOException broken) {
      throw new UncheckedIOException(broken);
    }
    return found;
  }

  /** A head at column 0 opens a function, a brace alone at column 0 closes it. */
  private static List<Span> betweenHeadAndBrace(List<String> lines, Pattern head) {
    List<Span> found = new ArrayList<>();
    int start = -1;
    for (int i = 0; i < lines.size(); i++) {
      if (head.matcher(lines.get(i)).matches()) {
        start = i;
      } else if (lines.get(i).equals("}") && start >= 0) {
        found.add(new Span(start + 1, i - start + 1));
        start = -1;
      }
    }
    return found;
  }

  private static List<Span> inPython(List<String> lines) {
    List<Span> found = new ArrayList<>();
    for (int i = 0; i < lines.size(); i++) {
      var head = PYTHON_HEAD.matcher(lines.get(i));
      if (head.matches()) {
        found.add(new Span(i + 1, pythonEnd(lines, i, head.group(1).length()) - i + 1));
      }
    }
    return found;
  }

  /** Index of the last line that is indented deeper than the head; text in triple quotes is. */
  private static int pythonEnd(List<String> lines, int head, int indent) {
    boolean quoted = false;
    int last = head;
    for (int i = head + 1; i < lines.size(); i++) {
      String line = lines.get(i);
      boolean deeper = line.length() - line.stripLeading().length() > indent;
      // A signature over several lines is closed at the head's own column.
      boolean inside = quoted || deeper || line.startsWith(")", indent);
      if (!line.isBlank() && !inside) {
        break;
      }
      quoted ^= QUOTES.matcher(line).results().count() % 2 == 1;
      last = line.isBlank() ? last : i;
    }
    return last;
  }

  private static final class Methods extends TreeScanner<Void, Void> {
    private final CompilationUnitTree unit;
    private final SourcePositions positions;
    private final List<Span> found;

    Methods(CompilationUnitTree unit, SourcePositions positions, List<Span> found) {
      this.unit = unit;
      this.positions = positions;
      this.found = found;
    }

    @Override
    public Void visitMethod(MethodTree method, Void unused) {
      LineMap map = unit.getLineMap();
      int start = (int) map.getLineNumber(positions.getStartPosition(unit, method));
      int end = (int) map.getLineNumber(positions.getEndPosition(unit, method));
      found.add(new Span(start, end - start + 1));
      return super.visitMethod(method, null);
    }
  }

  private static final class Text extends SimpleJavaFileObject {
    private final String text;

    Text(SourceFile file) {
      super(URI.create("string:///" + file.path()), JavaFileObject.Kind.SOURCE);
      text = String.join("\n", file.lines());
    }

    @Override
    public CharSequence getCharContent(boolean ignoreEncodingErrors) {
      return text;
    }
  }
}

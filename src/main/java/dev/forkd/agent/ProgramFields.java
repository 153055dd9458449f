package dev.forkd.agent;

import dev.forkd.frame.FieldKey;
import dev.forkd.frame.Fields;
import dev.forkd.frame.Frame;
import dev.forkd.model.ProgramSpec;
import dev.forkd.model.ProgramSpec.Program;
import java.util.Map;
import java.util.TreeMap;

/** A program as fields of EXEC or CALL. */
final class ProgramFields {
  private ProgramFields() {}

  static Fields of(ProgramSpec spec, AgentSettings settings) {
    Map<String, String> env = new TreeMap<>(settings.env());
    env.putAll(spec.env());
    Fields.Builder fields = Fields.builder();
    addProgram(fields, spec.program());
    fields
        .entries(FieldKey.ENV, env)
        .text(FieldKey.CWD, spec.cwd().isEmpty() ? settings.cwd() : spec.cwd())
        .flag(FieldKey.STDIN, spec.stdin())
        .integer(FieldKey.TIMEOUT_MS, spec.timeout().toMillis())
        .integer(FieldKey.GRACE_MS, AgentConnection.GRACE.toMillis())
        .integer(FieldKey.WINDOW, Frame.DEFAULT_WINDOW);
    spec.terminal()
        .ifPresent(size ->
            fields.integer(FieldKey.ROWS, size.rows()).integer(FieldKey.COLUMNS, size.columns()));
    if (!spec.user().isEmpty()) {
      fields.text(FieldKey.USER, spec.user());
    }
    return fields.build();
  }

  private static void addProgram(Fields.Builder fields, Program program) {
    switch (program) {
      case Program.Exec exec -> fields.texts(FieldKey.ARGV, exec.args());
      case Program.Connect connect -> fields.integer(FieldKey.PORT, connect.port());
      case Program.CallModule call ->
          fields
              .text(FieldKey.KIND, "module")
              .text(FieldKey.TARGET, call.module())
              .texts(FieldKey.ARGV, call.args());
      case Program.CallFile call ->
          fields
              .text(FieldKey.KIND, "file")
              .text(FieldKey.TARGET, call.path())
              .texts(FieldKey.ARGV, call.args());
      case Program.CallCode call ->
          fields
              .text(FieldKey.KIND, "code")
              .text(FieldKey.CODE, call.code())
              .texts(FieldKey.ARGV, call.args());
    }
  }
}

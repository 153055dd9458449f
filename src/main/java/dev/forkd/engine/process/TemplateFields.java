package dev.forkd.engine.process;

import dev.forkd.engine.ForkPlan;
import dev.forkd.engine.WarmPlan;
import dev.forkd.engine.WarmSpec;
import dev.forkd.frame.FieldKey;
import dev.forkd.frame.Fields;
import dev.forkd.model.Limits;
import dev.forkd.model.RootImage;
import dev.forkd.model.SandboxId;
import java.time.Duration;
import java.util.List;

/** Plans as fields of L_TEMPLATE and L_FORK. */
final class TemplateFields {
  private TemplateFields() {}

  static Fields template(String name, WarmPlan plan, long uidBase, ProcessPaths paths) {
    Fields.Builder fields = Fields.builder().text(FieldKey.NAME, name);
    for (RootImage.Layer layer : plan.image().layers()) {
      fields.nested(FieldKey.LAYER, layer(layer));
    }
    fields
        .texts(FieldKey.HIDDEN, plan.image().hidden())
        .texts(FieldKey.WRITABLE, plan.image().writable())
        .integer(FieldKey.UID_BASE, uidBase)
        .text(FieldKey.CWD, "/")
        .text(FieldKey.HOSTNAME, "template")
        .integer(FieldKey.OPEN_FILES, plan.limits().openFiles())
        .texts(FieldKey.SYSCALLS, plan.syscalls().asked())
        .integer(FieldKey.TIMEOUT_MS, plan.warm().deadline().toMillis())
        .text(FieldKey.RUNTIME_DIR, paths.runtimeDir().toString());
    if (plan.servesPrograms()) {
      fields.text(FieldKey.FRONT, paths.front().toString());
    }
    plan.runtime()
        .ifPresent(runtime ->
            fields
                .texts(FieldKey.ARGV, List.of(runtime.interpreter(), "-m", "forkd_runtime.zygote"))
                .entries(FieldKey.ENV, Environment.ofRuntime(plan))
                .text(FieldKey.DATA, WarmSpec.of(plan)));
    return fields.build();
  }

  private static Fields layer(RootImage.Layer layer) {
    return Fields.builder()
        .text(FieldKey.PATH, layer.path().toString())
        .flag(FieldKey.IDMAP, layer.idMapped())
        .flag(FieldKey.COPY, layer.copied())
        .build();
  }

  static Fields fork(String template, ForkPlan plan) {
    Fields.Builder fields = Fields.builder().text(FieldKey.TEMPLATE, template);
    for (ForkPlan.Child child : plan.children()) {
      fields.nested(
          FieldKey.CHILD,
          Fields.builder()
              .text(FieldKey.NAME, child.id().text())
              .text(FieldKey.HOSTNAME, hostname(child.id().text()))
              .text(FieldKey.MACHINE_ID, child.machineId())
              .build());
    }
    Limits limits = plan.limits();
    return fields
        .integer(FieldKey.MEMORY_BYTES, limits.memoryBytes())
        .integer(FieldKey.PIDS_MAX, limits.pids())
        .integer(FieldKey.CPU_MILLIS, limits.cpuMillis())
        .integer(FieldKey.IO_WEIGHT, limits.ioWeight())
        .integer(FieldKey.DISK_BYTES, limits.diskBytes())
        .integer(FieldKey.TMP_BYTES, limits.tmpBytes())
        .integer(FieldKey.SHM_BYTES, limits.shmBytes())
        .integer(FieldKey.TIMEOUT_MS, plan.deadline().toMillis())
        .build();
  }

  static Fields branch(SandboxId sandbox, String template, long pid, Duration timeout) {
    return Fields.builder()
        .text(FieldKey.NAME, sandbox.text())
        .text(FieldKey.TEMPLATE, template)
        .integer(FieldKey.PID, pid)
        .integer(FieldKey.TIMEOUT_MS, Math.max(1, timeout.toMillis()))
        .build();
  }

  /** A host name is an id whose underscores, which host names may not have, are dashes. */
  static String hostname(String id) {
    return id.replace('_', '-');
  }
}

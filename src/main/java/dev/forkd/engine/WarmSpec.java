package dev.forkd.engine;

import dev.forkd.json.Json;
import dev.forkd.model.Recipe.WarmUp;
import java.util.List;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** The warm-up as the runtime reads it, {@code Spec} in {@code forkd_runtime/warm.py}. */
public final class WarmSpec {
  private static final String SCRIPT_NAME = "warm.py";

  private WarmSpec() {}

  /** Compact JSON. */
  public static String of(WarmPlan plan) {
    WarmUp warm = plan.warm();
    ObjectNode spec = Json.object();
    spec.set("imports", texts(warm.imports()));
    if (warm.script().isEmpty()) {
      spec.putNull("script");
    } else {
      spec.put("script", warm.script());
    }
    spec.put("script_name", SCRIPT_NAME);
    spec.set("functions", texts(warm.functions()));
    spec.set("path", texts(warm.path()));
    spec.put("workdir", plan.workdir());
    warm.seed().ifPresentOrElse(seed -> spec.put("seed", seed), () -> spec.putNull("seed"));
    spec.put("unsafe", "refuse");
    spec.set("allow", texts(warm.allow()));
    spec.put("before_snapshot", warm.hooks().beforeSnapshot());
    spec.put("after_fork", warm.hooks().afterFork());
    spec.put("hook_ms", warm.hooks().deadline().toMillis());
    spec.put("exec", warm.exec());
    return Json.text(spec);
  }

  private static ArrayNode texts(List<String> texts) {
    ArrayNode array = Json.array();
    texts.forEach(array::add);
    return array;
  }
}

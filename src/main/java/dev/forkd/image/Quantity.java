package dev.forkd.image;

import java.math.BigDecimal;
import java.math.RoundingMode;
import java.time.Duration;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Sizes, durations and cores as people write them: {@code 512MiB}, {@code 90s}, {@code 1.5}. */
final class Quantity {
  private static final Pattern FORM = Pattern.compile("(\\d{1,12}(?:\\.\\d{1,6})?) ?([A-Za-z]*)");
  private static final Map<String, Long> BYTES =
      Map.of("KiB", 1L << 10, "MiB", 1L << 20, "GiB", 1L << 30, "TiB", 1L << 40, "B", 1L);
  private static final Map<String, Long> MILLIS =
      Map.of("ms", 1L, "s", 1_000L, "m", 60_000L, "h", 3_600_000L);
  private static final long MAX_BYTES = 1L << 50;

  private Quantity() {}

  /** A size in bytes; 0 needs no unit. */
  static long bytes(String path, YamlNode node) {
    BigDecimal value = value(path, node, BYTES, "a size such as 512MiB or 2GiB (0 = no limit)");
    if (value.compareTo(BigDecimal.valueOf(MAX_BYTES)) > 0) {
      throw YamlReader.at(node.line(), "`" + path + "` is more than 1024 TiB");
    }
    return value.setScale(0, RoundingMode.UP).longValueExact();
  }

  /** A duration. */
  static Duration duration(String path, YamlNode node) {
    BigDecimal millis = value(path, node, MILLIS, "a duration such as 60s, 2m or 500ms");
    return Duration.ofMillis(millis.setScale(0, RoundingMode.UP).longValueExact());
  }

  /** Cores in thousandths. */
  static long cpuMillis(String path, YamlNode node) {
    String wanted = "a number of cores such as 1 or 1.5 (0 = no limit)";
    BigDecimal cores = value(path, node, Map.of("", 1L), wanted);
    return cores.movePointRight(3).setScale(0, RoundingMode.UP).longValueExact();
  }

  private static BigDecimal value(
      String path, YamlNode node, Map<String, Long> units, String wanted) {
    if (!(node instanceof YamlNode.Scalar scalar)) {
      throw Section.wrongType(path, node, wanted);
    }
    Matcher form = FORM.matcher(scalar.text());
    if (form.matches()) {
      BigDecimal number = new BigDecimal(form.group(1));
      if (units.containsKey(form.group(2))) {
        return number.multiply(BigDecimal.valueOf(units.get(form.group(2))));
      }
      if (number.signum() == 0 && form.group(2).isEmpty()) {
        return number;
      }
    }
    throw YamlReader.at(
        node.line(), "`" + path + "` must be " + wanted + ", but is `" + scalar.text() + "`");
  }
}

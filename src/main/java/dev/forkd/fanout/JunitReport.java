package dev.forkd.fanout;

import dev.forkd.model.Failure;
import dev.forkd.model.FailureKind;
import dev.forkd.model.ForkdException;
import java.io.IOException;
import java.io.StringReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.stream.StreamSupport;
import javax.xml.XMLConstants;
import javax.xml.parsers.DocumentBuilder;
import javax.xml.parsers.DocumentBuilderFactory;
import javax.xml.parsers.ParserConfigurationException;
import javax.xml.transform.TransformerException;
import javax.xml.transform.TransformerFactory;
import javax.xml.transform.dom.DOMSource;
import javax.xml.transform.stream.StreamResult;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.xml.sax.InputSource;
import org.xml.sax.SAXException;
import tools.jackson.databind.JsonNode;

/**
 * The JUnit files of all shards as one, in the form that pytest writes: one suite, its tests in the
 * order of collection, counts and seconds added up.
 */
final class JunitReport {
  private static final List<String> COUNTS = List.of("errors", "failures", "skipped", "tests");

  private final List<JsonNode> shards;

  /**
   * What the shards told.
   *
   * @param shards the field {@code junit} of each part: forkd_pytest/junit.py
   */
  JunitReport(List<JsonNode> shards) {
    this.shards = shards;
  }

  /**
   * Writes the file.
   *
   * @throws ForkdException INVALID when a part holds what is no test of a JUnit file
   */
  void write(Path file) throws IOException {
    try {
      DocumentBuilder builder = builder();
      Document document = builder.newDocument();
      Element suites = document.createElement("testsuites");
      document.appendChild(suites);
      Element suite = suite(document);
      suites.appendChild(suite);
      for (String test : tests()) {
        Element element =
            builder.parse(new InputSource(new StringReader(test))).getDocumentElement();
        suite.appendChild(document.importNode(element, true));
      }
      save(document, file);
    } catch (SAXException e) {
      throw new Failure(
              FailureKind.INVALID,
              "cannot merge: a part's JUnit report is broken: " + e.getMessage())
          .thrown(e);
    } catch (ParserConfigurationException | TransformerException e) {
      throw new Failure(FailureKind.INTERNAL, "cannot write " + file + ": " + e).thrown(e);
    }
  }

  /** What a part says is not trusted: no document types, and so no entities and no other files. */
  private static DocumentBuilder builder() throws ParserConfigurationException {
    DocumentBuilderFactory factory = DocumentBuilderFactory.newDefaultInstance();
    factory.setFeature("http://apache.org/xml/features/disallow-doctype-decl", true);
    factory.setFeature(XMLConstants.FEATURE_SECURE_PROCESSING, true);
    DocumentBuilder builder = factory.newDocumentBuilder();
    builder.setErrorHandler(null); // the exception tells; the default prints as well
    return builder;
  }

  private Element suite(Document document) {
    Element suite = document.createElement("testsuite");
    suite.setAttribute("name", first("name"));
    for (String count : COUNTS) {
      suite.setAttribute(count, Long.toString(Math.round(sum(count))));
    }
    suite.setAttribute("time", String.format(Locale.ROOT, "%.3f", sum("time")));
    suite.setAttribute("timestamp", first("timestamp"));
    suite.setAttribute("hostname", first("hostname"));
    return suite;
  }

  /** Of the shard that began first: times of this form sort as texts. */
  private String first(String attribute) {
    return shards.stream()
        .map(shard -> shard.path("suite"))
        .min(Comparator.comparing(suite -> suite.path("timestamp").asString("")))
        .map(suite -> suite.path(attribute).asString(""))
        .orElse("");
  }

  private double sum(String attribute) {
    return shards.stream()
        .map(shard -> shard.path("suite").path(attribute).asString("0"))
        .mapToDouble(JunitReport::number)
        .sum();
  }

  private static double number(String text) {
    try {
      return Double.parseDouble(text);
    } catch (NumberFormatException e) {
      throw new Failure(
              FailureKind.INVALID, "cannot merge: a part's JUnit report counts \"" + text + "\"")
          .thrown(e);
    }
  }

  private List<String> tests() {
    return shards.stream()
        .flatMap(shard -> StreamSupport.stream(shard.path("cases").spliterator(), false))
        .sorted(Comparator.comparingInt(test -> test.path(0).asInt(-1)))
        .map(test -> test.path(1).asString(""))
        .toList();
  }

  private static void save(Document document, Path file) throws IOException, TransformerException {
    Path whole = file.toAbsolutePath();
    Path staged = whole.resolveSibling("." + whole.getFileName() + ".part");
    try {
      TransformerFactory.newDefaultInstance()
          .newTransformer()
          .transform(new DOMSource(document), new StreamResult(staged.toFile()));
      Files.move(staged, whole, StandardCopyOption.REPLACE_EXISTING);
    } finally {
      Files.deleteIfExists(staged);
    }
  }
}

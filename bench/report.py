"""Writes what was measured: JSON for machines, Markdown for people."""
import json
import os
from typing import Any, Dict, List

from figures import Figure, Section

RESULTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "results")


def ratio(figure: Figure, section: Section) -> str:
    """How the figure compares with its reference, in words."""
    for other in section.figures:
        if other.name == figure.reference:
            if figure.median() <= other.median():
                return "%.2fx faster" % (other.median() / figure.median())
            return "%.2fx slower" % (figure.median() / other.median())
    return ""


def table(section: Section) -> List[str]:
    lines = ["## " + section.title, ""]
    lines.append("| | unit | median | least | p90 | n | against | |")
    lines.append("|---|---|---:|---:|---:|---:|---|---|")
    for f in section.figures:
        against = "%s: %s" % (f.reference, ratio(f, section)) if f.reference else ""
        numbers = "%.2f | %.2f | %.2f | %d" % (f.median(), f.least(), f.p90(), len(f.values))
        lines.append("| %s | %s | %s | %s | %s |" % (f.name, f.unit, numbers, against, f.bound))
    for what in section.skipped:
        lines.append("| skipped: %s | | | | | | | |" % what)
    return lines + [""]


def markdown(about: Dict[str, Any], sections: List[Section]) -> str:
    lines = ["# Benchmark of %s" % about["date"], ""]
    for key, value in about.items():
        if isinstance(value, dict):
            value = ", ".join("%s %s" % item for item in value.items())
        lines.append("- %s: %s" % (key, value))
    lines.append("")
    for section in sections:
        lines += table(section)
    return "\n".join(lines)


def write(about: Dict[str, Any], sections: List[Section], directory: str) -> str:
    """The path of the Markdown file."""
    os.makedirs(directory, exist_ok=True)
    base = os.path.join(directory, str(about["date"]).replace(":", ""))
    body = dict(about)
    body["sections"] = [
        {
            "title": section.title,
            "skipped": section.skipped,
            "figures": [
                dict(vars(f), median=f.median(), p90=f.p90(), ratio=ratio(f, section))
                for f in section.figures
            ],
        }
        for section in sections
    ]
    with open(base + ".json", "w") as file:
        json.dump(body, file, indent=1)
        file.write("\n")
    with open(base + ".md", "w") as file:
        file.write(markdown(about, sections))
    return base + ".md"

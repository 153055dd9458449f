"""Text: patterns, counting, formats."""
import json
import re
import textwrap
import unicodedata
from collections import Counter
from difflib import SequenceMatcher

WORDS = "the quick brown fox jumps over the lazy dog while the cat looks at the fox".split()


def test_word_counts_are_those_of_a_plain_loop():
    text = " ".join(WORDS * 400)
    counts = Counter(re.findall(r"[a-z]+", text))
    assert counts["the"] == 4 * 400
    assert sum(counts.values()) == len(WORDS) * 400


def test_log_lines_are_parsed_into_fields():
    pattern = re.compile(r"(?P<ip>[\d.]+) - \[(?P<when>[^]]+)\] (?P<code>\d{3}) (?P<size>\d+)")
    lines = [f"10.0.0.{n % 250} - [day {n}] {200 + n % 5} {n * 10}" for n in range(2000)]
    sizes = [int(match["size"]) for match in map(pattern.fullmatch, lines)]
    assert sum(sizes) == 10 * sum(range(2000))


def test_accents_are_stripped_by_decomposition():
    def plain(text):
        parts = unicodedata.normalize("NFD", text)
        return "".join(c for c in parts if not unicodedata.combining(c))

    assert plain("Ångström café naïve") == "Angstrom cafe naive"


def test_wrapping_keeps_every_word_in_order():
    wrapped = textwrap.wrap(" ".join(WORDS * 20), width=40)
    assert max(map(len, wrapped)) <= 40
    assert " ".join(wrapped).split() == WORDS * 20


def test_json_round_trip_keeps_structure():
    nested = [{"n": n, "word": WORDS[n % len(WORDS)]} for n in range(200)]
    document = {"words": WORDS, "counts": dict(Counter(WORDS)), "nested": nested}
    assert json.loads(json.dumps(document)) == document


def test_similarity_is_high_for_similar_words():
    for left, right, least in [("kitten", "sitting", 0.6), ("flaw", "flow", 0.7), ("a", "a", 1.0)]:
        assert SequenceMatcher(None, left, right).ratio() >= least
        assert SequenceMatcher(None, right, left).ratio() >= least

"""Where the time of a run went, and what more workers could not change."""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Sequence

_SHOWN = 3


class Stretch(NamedTuple):
    """What one worker has to run in one piece."""

    name: str
    seconds: float


def report(
    worked: Dict[int, float], took: float, stretches: Sequence[Stretch]
) -> List[str]:
    """Lines for the terminal: seconds by worker, the ideal, and the long poles."""
    total, workers = sum(worked.values()), max(1, len(worked))
    poles = sorted(stretches, key=lambda one: -one.seconds)[:_SHOWN]
    longest = poles[0].seconds if poles else 0.0
    ideal = max(total / workers, longest)
    lines = [
        "%.1f s of tests in %.1f s with %d worker%s; the ideal is %.1f s"
        % (total, took, workers, "" if workers == 1 else "s", ideal)
    ]
    lines += [
        "  gw%d worked %.1f s (%.0f %%)" % (number, seconds, 100 * seconds / max(took, 1e-9))
        for number, seconds in sorted(worked.items())
    ]
    if poles:
        lines.append("no number of workers gets below %.1f s:" % longest)
        lines += ["  %.1f s %s" % (one.seconds, one.name) for one in poles]
    return lines

"""Numbers and names as page, Markdown and terminal word them."""

from __future__ import annotations

from hearth.reporting.comparisons import NoiseFloor
from hearth.reporting.intervals import Difference, Interval


def score(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"


def percent(value: float) -> str:
    return f"{100 * value:.0f} %"


def signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "\N{MINUS SIGN}")


def p_value(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def limits(value: Interval | Difference, unit: str = "score") -> str:
    if value.low is None or value.high is None:
        return "no interval"
    text = {"score": score, "signed": signed, "percent": percent}[unit]
    return f"{text(value.low)} to {text(value.high)}"


def figure(value: Interval | Difference) -> str:
    """The estimate for plain text; a difference carries its sign."""
    return f"{value.estimate:{_sign(value)}.3f}"


def brackets(value: Interval | Difference) -> str:
    """The limits for plain text, e.g. "[0.312, 0.498]"; empty where there are none."""
    if value.low is None or value.high is None:
        return ""
    sign = _sign(value)
    return f"[{value.low:{sign}.3f}, {value.high:{sign}.3f}]"


def _sign(value: Interval | Difference) -> str:
    return "+" if isinstance(value, Difference) else ""


def point(value: object, attribute: str) -> Interval:
    """A published figure as an interval without limits."""
    return Interval(getattr(value, attribute), None, None)


def noise(floor: NoiseFloor, confidence: float) -> str:
    """What the noise floor says: how much repeated runs of one policy differ."""
    scatter, apart = score(floor.noise.deviation), score(floor.noise.difference)
    return (
        f"Noise floor: {floor.noise.runs} runs of one policy on the same {floor.split} instances "
        f"({', '.join(floor.evaluations)}) scatter by {scatter} in q; two runs of it differ by "
        f"less than {apart} in {100 * confidence:g} % of cases, with one rollout per instance."
    )


def words(name: str) -> str:
    return name.replace("_", " ")


FILTERS = {
    "score": score, "percent": percent, "signed": signed, "p_value": p_value, "limits": limits,
    "point": point, "words": words, "noise": noise,
}  # fmt: skip

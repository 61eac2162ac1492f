"""Format shares, differences, dates and durations for people."""

import math
from datetime import date


def percent(share: float) -> str:
    """Format a share.

    >>> percent(0.256), percent(float("nan"))
    ('26 %', '–')
    """
    return "–" if math.isnan(share) else f"{share:.0%}".replace("%", " %")


def points(share: float) -> str:
    """Format a difference of shares in percentage points.

    >>> points(0.256), points(-0.1), points(-0.001), points(float("nan"))
    ('+26', '−10', '0', '–')
    """
    return signed(100 * share, digits=0)


def signed(value: float, *, digits: int = 2) -> str:
    """Format a difference.

    >>> signed(0.256), signed(-0.001)
    ('+0.26', '0.00')
    """
    if math.isnan(value):
        return "–"
    text = f"{value:+.{digits}f}".replace("-", "−")
    return text if float(text[1:]) else text[1:]


def day(when: date) -> str:
    """Format a date.

    >>> day(date(2026, 9, 1))
    '1 September 2026'
    """
    return f"{when.day} {when:%B %Y}"


def minutes(seconds: float) -> str:
    """Format a duration.

    >>> minutes(5_400), minutes(75.2), minutes(42.0)
    ('1 h 30 min', '1 min 15 s', '42 s')
    """
    whole, rest = divmod(round(seconds), 60)
    if whole >= 60:
        return f"{whole // 60} h {whole % 60} min"
    return f"{whole} min {rest} s" if whole else f"{rest} s"

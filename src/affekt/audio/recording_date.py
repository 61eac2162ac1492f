"""Find when a recording was made: in its metadata, or in its file name."""

import re
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

from affekt.audio.sources import open_file

TAGS = ("creation_time", "date")  # as FFmpeg names them, the more precise one first
EARLIEST = 1990  # in metadata: earlier years come from clocks that were never set
FIRST_YEAR = 1900  # of a date that is given or in a name: earlier ones are mistyped
_DATE = re.compile(
    r"(?<!\d)((?:19|20)\d\d)([-_.]?)(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01])"  # 2026-09-10, 20260910
    r"(?:(?:T|[-_ ]+(?:at )?)([01]\d|2[0-3])[-:._h]?([0-5]\d)(?:[-:._m]?([0-5]\d))?)?(?!\d)"
)


def recording_date(file: str) -> str:
    """Find when a recording, at a path or location, was made: in its metadata, else in its name.

    Returns local time as ``2026-09-10T08:15:00``, a day as ``2026-09-10`` where no time is known,
    or nothing.

    Raises:
        AudioError: the file cannot be opened.
    """
    import av  # slow to load

    from affekt.audio.ffmpeg import open_container

    tags: dict[str, str] = {}
    # what is not a sound has no metadata; reading it says what is wrong
    with (
        open_file(file, file) as opened,
        suppress(av.FFmpegError),
        open_container(opened) as container,
    ):
        tags = {key.lower(): value for key, value in container.metadata.items()}
    for tag in filter(None, map(tags.get, TAGS)):
        with suppress(ValueError, OverflowError):  # such as a year alone
            found = local_time(tag.replace("UTC", "+00:00"))
            if int(found[:4]) >= EARLIEST:
                return found
    return date_in(file_name(file))


def file_name(file: str) -> str:
    """Name of a path or location, without the query of a web address, which may hold a key."""
    return Path(re.sub(r"(?is)(^https?:[^?]*).*", r"\1", file)).name


def date_in(text: str) -> str:
    """Find the first date in a text, year first, with the time that may follow it.

    >>> date_in("Recording 2026-09-10 08.15.30"), date_in("PTT-20260910-WA0003")
    ('2026-09-10T08:15:30', '2026-09-10')
    >>> date_in("03-01-05-01-01-01-01")
    ''
    """
    start = 0
    while found := _DATE.search(text, start):
        start = found.start() + 1
        year, _, month, day, hour, minute, second = found.groups()
        day_text = f"{year}-{month}-{day}"
        try:
            datetime.fromisoformat(day_text)
        except ValueError:  # such as 31 February
            continue
        return f"{day_text}T{hour}:{minute}:{second or '00'}" if hour else day_text
    return ""


def local_time(text: str) -> str:
    """Convert an ISO 8601 date or time to local time as :func:`recording_date` returns it.

    Raises:
        ValueError: not a date in ISO 8601.
        OverflowError: a time whose local time is before year 1 or after 9999.

    >>> local_time("2026-09-10"), local_time("2026-09-10 08:15")
    ('2026-09-10', '2026-09-10T08:15:00')
    """
    moment = datetime.fromisoformat(text)
    if len(text) <= len("2026-09-10"):
        return moment.date().isoformat()
    if moment.tzinfo:
        moment = moment.astimezone().replace(tzinfo=None)
    return moment.isoformat(timespec="seconds")


def is_possible(date: str) -> bool:
    """Whether a recording may be of this local time: from 1900 on, and at most one day ahead.

    A day may be the difference of time zones.
    """
    latest = datetime.now() + timedelta(days=1)
    return int(date[:4]) >= FIRST_YEAR and datetime.fromisoformat(date) <= latest

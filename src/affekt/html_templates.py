"""Load HTML templates, with the same settings for every page."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import jinja2


def html_templates() -> "jinja2.Environment":
    """Open the ``.jinja`` files below this folder; text is escaped, a missing value is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("affekt", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )

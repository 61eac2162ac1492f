"""Load HTML templates, with the same settings for every page."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import jinja2


def html_templates(package: str) -> "jinja2.Environment":
    """Open the templates of a package; text is escaped, and a missing value is an error.

    Args:
        package: that holds the ``.jinja`` files, such as ``affekt.report``.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader(package, "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )

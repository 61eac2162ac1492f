"""Check the wheel, installed without constraints, on every Python that can be had: `nox`."""

import nox

nox.options.default_venv_backend = "uv|venv"
nox.options.error_on_missing_interpreters = False


@nox.session(python=["3.11", "3.12", "3.13", "3.14"])
def wheel(session: nox.Session) -> None:
    """Build the wheel, install it alone, and run the first commands in an empty folder."""
    session.install(".")
    session.cd(session.create_tmp())
    session.run("affekt", "--version")
    session.run("affekt", "predict", "--demo")
    session.run("affekt", "predict", "--demo", "--timeline", "--json")
    session.run("affekt", "models")


@nox.session(python=["3.11", "3.12", "3.13", "3.14"])
def tests(session: nox.Session) -> None:
    """Run all tests with the newest dependencies."""
    session.install("-e", ".[dev]")
    session.run("pytest", *session.posargs)

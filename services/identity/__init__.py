"""Who is who: which identifiers belong to one person, and the log of facts that follows from it.

Owns the identifiers, the link graph with its journal, the profile ids and the log's time. It reads
the inbound log and alone writes the facts logs; it calls no other service. Invariants: an
identifier is held by one profile; no profile holds two values of a unique namespace; a profile id
is never reused, and one that was merged away finds the profile that remains; the same inbound log
gives the same facts, byte for byte.
"""

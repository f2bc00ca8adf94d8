"""Takes in what happens to people and tells what is known of them.

Owns the schema, attributes with their source, consent and preferences, the timeline and the
catalog (`profile.db`), and the gateway of the inbound log. Calls identity, to find a profile by an
identifier.

Invariants: an input that was acknowledged is on disk in the inbound log; no call writes the tables,
the projection of the facts alone does; every row is the greatest of what was said of it, so that
the tables are the same whatever the pack sizes, the restarts and the order in which partitions and
merges arrive.
"""

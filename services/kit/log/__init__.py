"""The log: its port, its engines and the group commit in front of it."""

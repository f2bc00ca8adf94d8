"""The composition root: which services run in this process, and the `coterie` command."""

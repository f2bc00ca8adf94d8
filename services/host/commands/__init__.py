"""The commands of `coterie`: each module has one command, or one group of them."""

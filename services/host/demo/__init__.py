"""The story that `coterie demo` plays: a shopper who left the store gets a message, once."""

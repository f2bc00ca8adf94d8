"""The services, what they stand on, and the host that runs them."""

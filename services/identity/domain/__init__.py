"""The identity graph and the log's time: pure, deterministic, without input or output."""

"""gRPC as every service speaks it: servers, channels, and failures as status codes."""

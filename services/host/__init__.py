"""The composition root: which services run in this process, and the `coterie` command."""

import os

# gRPC's own lines on standard error are for its developers; what went wrong is said by us. It reads
# this when it is first imported.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

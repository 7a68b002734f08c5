"""How long a test waits for what must happen. Only a test that fails waits so long, on the slowest machine."""

PATIENCE_SECONDS = 60

"""The memory that the daemon gives back while others need it."""

"""Diagnoses an installation, before or after the daemon fails. Each module examines one thing."""

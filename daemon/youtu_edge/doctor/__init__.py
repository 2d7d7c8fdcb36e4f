"""What is sick about an installation, found before or after the daemon fails. Each module examines one thing."""

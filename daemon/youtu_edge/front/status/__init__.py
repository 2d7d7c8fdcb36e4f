"""What the daemon reports about itself: status, metrics, the line for systemd."""

"""What the daemon says about itself: status, metrics, the line for systemd."""

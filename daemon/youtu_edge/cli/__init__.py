"""The subcommands of `youtu-edge`, one module each."""

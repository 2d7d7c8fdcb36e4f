"""The sessions that the device keeps for applications."""

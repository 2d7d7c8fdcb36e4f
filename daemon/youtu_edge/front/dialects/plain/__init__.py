"""The plain dialect for applications on the device."""

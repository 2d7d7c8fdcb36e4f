"""The plain dialect for applications on the device, and the conversations that the device keeps for them."""

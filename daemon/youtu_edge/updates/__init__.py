"""The installed model versions of a device, and how new ones are added. The front imports only `store`."""

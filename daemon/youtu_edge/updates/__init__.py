"""Model packages on the device: installed versions, and how a new one gets there. The front imports `store` only."""

"""From a decoded body to an admitted request: limits, sampling parameters, the queue, cached answers."""

"""HTTP: listener and connections, the application and its routes, bodies, events and errors."""

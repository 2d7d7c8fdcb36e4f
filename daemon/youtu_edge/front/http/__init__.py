"""HTTP: the application and its routes, bodies in, events and errors out, who may connect."""

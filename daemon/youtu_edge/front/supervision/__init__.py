"""One engine process at a time: started, watched, replaced, and what follows when it dies."""

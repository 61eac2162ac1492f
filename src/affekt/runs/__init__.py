"""Read, write, lock and archive run folders and their predictions."""

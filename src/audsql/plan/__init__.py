"""Plans: what an apply would do, as one document, and the guards that judge it. Pure."""

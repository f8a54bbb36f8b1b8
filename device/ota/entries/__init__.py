"""What the larger entries of the configuration may hold, a module each: loaded to check one, then let go."""

"""From a board with anything on it to one that takes updates, by cable: facts → plan → run, each a file of its own."""

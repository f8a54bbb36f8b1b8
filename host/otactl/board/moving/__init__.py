"""The first application on a board, by cable: a program that lay in `/` gives way to a directory of the slot that runs."""

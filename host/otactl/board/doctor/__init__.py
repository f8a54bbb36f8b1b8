"""What is wrong with a board, this machine and the network between them, in the order in which it hurts."""

"""The development loop: an application's folder in a board's memory, anew at each save."""

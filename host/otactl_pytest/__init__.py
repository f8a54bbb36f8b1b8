"""The pytest plugin `micropython_board`: tests of your own application on a real or a virtual board."""

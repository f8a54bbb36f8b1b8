"""The agent of a board without two slots: application releases alone, in two directories that the record chooses from."""

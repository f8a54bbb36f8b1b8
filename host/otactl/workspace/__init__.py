"""The workspace: its folder, its keys, its certificates."""

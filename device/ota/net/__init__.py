"""The way to the release server. All that waits is a generator of steps."""

"""The ROM loader: what a chip in download mode says to esptool. See docs/virtual-board.md."""

"""The HIL suite: an update and all that may go wrong with it, on any board. In the wheel this is otactl_hil."""

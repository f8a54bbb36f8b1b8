"""`make bench`: what an update costs, in ratios measured in one run."""

"""`make bench`: speed of the parts, each compared with its target and with another way to do the same work."""

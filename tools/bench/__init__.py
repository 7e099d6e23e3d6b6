"""`make bench`: how fast the parts are, each beside its target and beside another way to do the same work."""

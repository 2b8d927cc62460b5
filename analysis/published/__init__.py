"""What papers picked by hand, trained as they did: one experiment in this process, several through Ray."""

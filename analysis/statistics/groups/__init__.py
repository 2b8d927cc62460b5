"""Images that belong together (a person, a character): each by itself, and the worst."""

"""What a search tells of its settings, and what choosing the best of many costs."""

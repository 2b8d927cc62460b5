"""What is asked of a search, checked and completed before anything is computed."""

"""Whether probabilities mean what they say, and what makes them do so."""

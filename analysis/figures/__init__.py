"""Every figure, from frames and numbers to matplotlib."""

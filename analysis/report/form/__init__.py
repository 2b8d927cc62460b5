"""What a report is made of, blocks, and how they become HTML, Markdown and text on a terminal."""

"""What the book's pages compute and show."""

"""What is stored of earlier sessions, and the changes that this one proposes."""

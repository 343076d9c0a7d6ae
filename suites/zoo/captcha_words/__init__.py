"""A finder of letters on photographs."""

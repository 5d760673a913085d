"""What is kept on disk: a folder a session, whole at every moment."""

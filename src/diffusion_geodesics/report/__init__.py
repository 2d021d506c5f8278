"""Pictures, video, HTML and one folder from plain data. Knows nothing about models."""

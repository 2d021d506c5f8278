"""What distances between images say of what they show."""

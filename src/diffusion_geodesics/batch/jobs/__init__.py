"""What can be done with pairs: interpolate, extrapolate, compare, measure distances."""

"""The evidence of the docs: studies on rendered pairs, claims tested by their numbers, the page."""

"""The page of ``geodesic web``: a Gradio application over the same jobs as the command line.

A job runs in a thread of its own and outlives the connection that started it; the page only follows
it. Nothing on the page comes from outside this machine.
"""

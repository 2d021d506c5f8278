"""What the stages of a run are called in front of people."""

STAGES = {
    "load": "Loading the model",
    "read": "Reading and encoding",
    "encode": "Encoding",
    "text": "Optimising embeddings",
    "domain": "Sampling the model",
    "invert": "Inverting",
    "match": "Matching the images",
    "direction": "Finding the direction",
    "solve": "Solving for the geodesic",
    "ray": "Following the ray",
    "measure": "Measuring",
    "pairs": "Pairs",
    "flow": "Following the flow, %",
    "decode": "Decoding the film",
    "compare": "Decoding the comparison",
    "write": "Writing",
}
"""By the name of the stage."""

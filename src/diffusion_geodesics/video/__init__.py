"""How far clips are from geodesics."""

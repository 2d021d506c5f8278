"""The solvers of the boundary value problem, compared on problems whose geodesics are known."""

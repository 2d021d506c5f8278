"""The commit that a result is measured at."""

from __future__ import annotations

import subprocess


def commit(*paths: str) -> str:
    """The commit's hash, and whether what is measured was changed since; "unknown" without git.

    Args:
        paths: what is measured, besides the benchmarks; all of the package by default.
    """

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        changed = git("status", "--porcelain", "--", *(paths or ("src",)), "benchmarks/*.py")
        return git("rev-parse", "HEAD") + (" and uncommitted changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"

"""The type checker of the tests: beartype, in which an int may stand for a float (PEP 484)."""

from __future__ import annotations

from beartype import BeartypeConf, beartype

typechecker = beartype(conf=BeartypeConf(is_pep484_tower=True))

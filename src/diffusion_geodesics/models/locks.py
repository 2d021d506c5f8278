"""One user at a time for networks and pipelines that keep state while they run.

Reading inner features, mixing classes and interpolating attention change a network for the time of
a call; offloading moves its weights; a tokenizer keeps its padding and truncation. Adapters hold
the lock of what they use for each call.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

_locks: WeakKeyDictionary[Any, threading.RLock] = WeakKeyDictionary()
_registry = threading.Lock()


@contextmanager
def exclusive(owner: Any) -> Iterator[None]:
    """Hold the lock of a network, a pipeline or a model; a thread may take it again while it holds
    it."""
    with _registry:
        lock = _locks.setdefault(owner, threading.RLock())
    with lock:
        yield

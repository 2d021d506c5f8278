"""Keep the model libraries' progress bars and advice off the terminal."""

import importlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.RLock()


@contextmanager
def quiet(*libraries: str) -> Iterator[None]:
    """Silence libraries within; errors still show. One thread at a time: their levels are global.

    Args:
        libraries: ``"diffusers"``, ``"transformers"``; those named are imported.
    """
    logs = [importlib.import_module(f"{library}.utils.logging") for library in libraries]
    with _lock:
        before = [(log.get_verbosity(), log.is_progress_bar_enabled()) for log in logs]
        try:
            for log in logs:
                log.set_verbosity_error()
                log.disable_progress_bar()
            yield
        finally:
            for log, (verbosity, bars) in zip(logs, before, strict=True):
                log.set_verbosity(verbosity)
                if bars:
                    log.enable_progress_bar()

"""The store starts fast: it needs no tensor library until tensors are stored."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import diffusion_geodesics


def test_the_store_imports_no_tensor_library() -> None:
    # The package's own __init__ is left out, because it imports what it likes.
    package = Path(diffusion_geodesics.__file__).parent
    program = (
        "import sys, types; package = types.ModuleType('diffusion_geodesics'); "
        f"package.__path__ = [{str(package)!r}]; sys.modules['diffusion_geodesics'] = package; "
        "import diffusion_geodesics.runtime.storage, diffusion_geodesics.runtime.jsonable; "
        "print(sorted({'torch', 'numpy', 'safetensors', 'PIL'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr

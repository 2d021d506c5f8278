"""A hook of the documentation: each executed notebook becomes a page, its pictures files beside it.

Only what is stored in the notebook is shown; nothing runs when the site is built.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page, with its pictures, for every notebook."""
    from mkdocs.structure.files import File

    for notebook in [f for f in files if f.src_uri.endswith(".ipynb")]:
        place = PurePosixPath(notebook.src_uri)
        text = Path(notebook.abs_src_path or "").read_text(encoding="utf-8")
        page, pictures = as_page(json.loads(text), place.stem)
        files.append(File.generated(config, f"{place.with_suffix('.md')}", content=page))
        for name, content in pictures.items():
            files.append(File.generated(config, f"{place.parent / name}", content=content))
    return files


def as_page(notebook: dict[str, Any], stem: str) -> tuple[str, dict[str, bytes]]:
    """A notebook in Markdown, and its pictures by name."""
    parts, pictures = [], {}
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else _fenced("python", source))
        for output in cell.get("outputs", ()):
            data = output.get("data", {"text/plain": output.get("text", "")})
            if "image/png" in data:
                name = f"{stem}-{len(pictures) + 1}.png"
                pictures[name] = base64.b64decode("".join(data["image/png"]))
                parts.append(f"![Output of the cell above]({name})")
            elif "text/plain" in data:
                parts.append(_fenced("text", "".join(data["text/plain"]).rstrip()))
    parts.insert(1, f"[This page as a notebook]({stem}.ipynb){{ download }}")
    return "\n\n".join(parts) + "\n", pictures


def _fenced(language: str, text: str) -> str:
    return f"```{language}\n{text}\n```"

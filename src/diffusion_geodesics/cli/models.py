"""``geodesic models``: the families there are, and the models found on this machine."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from diffusion_geodesics.cli.console import say, table


def models(*folders: Path, json: Annotated[bool, Parameter(negative="")] = False) -> None:
    """List the model families and the models found on this machine.

    Looks at the embedded model, the cache of the Hugging Face hub and the folders given. Nothing is
    downloaded; the name in the first column is what --model takes.

    Parameters
    ----------
    folders
        Folders to look into: of one pipeline, or of many.
    json
        Print JSON.
    """
    from diffusion_geodesics.models import FAMILIES, local_models

    found = local_models(folders)
    if json:
        from dataclasses import asdict
        from json import dumps

        plain = ("name", "pipelines", "prediction", "prompt")
        families = [
            {**{name: getattr(f, name) for name in plain}, "caveat": f.note} for f in FAMILIES
        ]
        print(dumps({"families": families, "found": [asdict(m) for m in found]}, indent=2))
        return
    rows = [(f.name, ", ".join(f.pipelines), f.prediction, f.prompt) for f in FAMILIES]
    table(("Family", "Pipelines", "Predicts", "Prompt"), rows, error=False)
    print()
    here = []
    for m in found:
        family = m.family or f"none opens a {m.pipeline}"
        here.append((m.name, family, m.revision[:12], _size(m.bytes)))
    table(("Model on this machine", "Family", "Revision", "Weights"), here, error=False)
    for family in FAMILIES:
        if family.note:
            say(f"note: {family.name} is {family.note}")


def _size(count: int) -> str:
    if not count:
        return "not here"
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"

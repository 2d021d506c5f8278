"""``geodesic web``: the page for the browser."""

import os
from pathlib import Path

from diffusion_geodesics.cli.options import ConfigOption, Given, chosen, takes
from diffusion_geodesics.cli.shared import ModelSettings
from diffusion_geodesics.runtime.settings import JobSettings, SettingsError
from diffusion_geodesics.web.settings import ServerSettings


class WebModelSettings(ModelSettings):
    """Which model is chosen at first, and how models are loaded."""

    offline: bool = True
    """Never use the network; without it, ids that are typed in are fetched from the hub."""


class WebCommand(JobSettings):
    """The page with its models, and where it is served."""

    folders: tuple[Path, ...] = ()
    """Folders with models to offer."""
    server: ServerSettings = ServerSettings()
    model: WebModelSettings = WebModelSettings()

    def check(self) -> None:
        self.server.check()


@takes(WebCommand, "folders")
def web(*folders: Path, config: ConfigOption = None, options: Given = None) -> None:
    """Open the page on which films are made, in the browser of this machine.

    Parameters
    ----------
    folders
        Folders with models to offer.
    """
    command = chosen(WebCommand, options, config, folders=folders)
    from importlib.util import find_spec

    if find_spec("gradio") is None:
        install = "pip install 'diffusion-geodesics[web]'"
        raise SettingsError(f"the page needs gradio, which is not installed; {install}")
    if command.model.offline:
        os.environ["HF_HUB_OFFLINE"] = "1"
    password = _password(command.server.auth)
    from diffusion_geodesics.web.server import serve

    serve(
        command.server,
        lambda name, observer: command.model.model_copy(update={"model": name}).load(observer),
        command.model.model,
        command.folders,
        password,
    )


def _password(name: str | None) -> str:
    """The password of the name: from the environment, or asked for."""
    from getpass import getpass

    if name is None:
        return ""
    found = os.environ.get("GEODESIC_WEB_PASSWORD") or getpass(f"Password for {name}: ")
    if not found:
        raise SettingsError("got an empty password; give one")
    return found

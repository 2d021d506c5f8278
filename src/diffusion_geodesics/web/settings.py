"""Every choice of the web server."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from diffusion_geodesics.runtime.settings import SettingsError, SettingsGroup


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


class ServerSettings(SettingsGroup):
    """Where the page is served, and to whom."""

    title: ClassVar[str] = "Server"

    host: str = "127.0.0.1"
    """Address to listen on; any but this machine's own needs auth."""
    port: int | None = Field(default=None, ge=1, le=65535)
    """Port to listen on; by default 7860, or the next one that is free."""
    auth: str | None = Field(default=None, min_length=1)
    """Name that visitors have to give, with a password, which is asked for when the server starts
    or taken from GEODESIC_WEB_PASSWORD."""
    host_allowed: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    """Further host name by which the page may be opened, such as a proxy's."""
    browser: bool = True
    """Open the page in a browser."""

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def hosts(self) -> list[str]:
        """Host names by which the page may be opened."""
        own = [] if self.host in ("0.0.0.0", "::") else [self.host]
        return list(dict.fromkeys(["127.0.0.1", "localhost", *own, *self.host_allowed]))

    def check(self) -> None:
        """Refuse to be open to other machines without a password.

        Raises:
            SettingsError: it would be, or any host name would be allowed.
        """
        if not self.loopback and self.auth is None:
            raise SettingsError(
                f"host is {self.host}, which other machines can reach; give a name with auth, so "
                "that visitors need a password"
            )
        if "*" in self.host_allowed:
            raise SettingsError("host_allowed is '*'; name the hosts one by one")

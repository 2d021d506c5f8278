"""Who may reach the page."""

from __future__ import annotations

import pytest

from diffusion_geodesics.runtime.settings import SettingsError
from diffusion_geodesics.web.settings import ServerSettings


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2", "::1"])
def test_this_machine_needs_no_password(host: str) -> None:
    ServerSettings(host=host).check()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "my-machine", ""])
def test_others_need_one(host: str) -> None:
    with pytest.raises(SettingsError, match="auth"):
        ServerSettings(host=host).check()
    ServerSettings(host=host, auth="ann").check()


def test_hosts_are_named_one_by_one() -> None:
    found = ServerSettings(host="192.168.1.5", auth="ann", host_allowed=("studio.local",))
    assert found.hosts == ["127.0.0.1", "localhost", "192.168.1.5", "studio.local"]
    assert ServerSettings(host="0.0.0.0", auth="ann").hosts == ["127.0.0.1", "localhost"]
    with pytest.raises(SettingsError, match="one by one"):
        ServerSettings(host_allowed=("*",)).check()

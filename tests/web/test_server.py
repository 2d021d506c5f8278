"""The page is served, to whom it should be; a program makes a film as docs/web.md says."""

from __future__ import annotations

import http.client
import os
import re
import subprocess
import sys
from contextlib import closing
from email.message import Message
from pathlib import Path

import pytest

from tests.web.conftest import PATIENCE, Server, serving

PAGE = Path(__file__).parents[2] / "docs" / "web.md"


def ask(
    server: Server, method: str = "GET", path: str = "/", body: str = "", **headers: str
) -> tuple[int, bytes, Message]:
    """Status, body and headers of an answer."""
    with closing(
        http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    ) as connection:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body or None, named)
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers


def the_page_answers_and_asks_nobody_else(server: Server) -> None:
    status, page, _ = ask(server)
    assert status == 200
    assert b"Diffusion geodesics" in page
    fetched = re.findall(rb'<(?:link|script)[^>]*(?:href|src)="(http[^"]*)"', page)
    assert fetched == []
    assert b"fonts.googleapis" not in page


def a_foreign_host_is_refused(server: Server) -> None:
    assert ask(server, Host="evil.example")[0] == 400
    assert ask(server, path="/gradio_api/info", Host=f"evil.example:{server.port}")[0] == 400
    assert ask(server, Host=f"localhost:{server.port}")[0] == 200


def another_sites_page_is_refused(server: Server) -> None:
    path = "/gradio_api/upload"
    assert ask(server, "POST", path, Origin="https://evil.example")[0] == 403
    assert ask(server, "POST", path, Origin="null")[0] == 403
    own = ask(server, "POST", path, Origin=server.address)[0]
    assert own == 400  # refused for what is missing, not for where it comes from


def browsers_are_told_to_ask_nobody_else(server: Server) -> None:
    policy = ask(server)[2]["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "http" not in policy


def files_of_the_machine_are_not_served(server: Server) -> None:
    for path in (server.folder / "a.png", Path("/etc/passwd"), server.folder / "model"):
        assert ask(server, path=f"/gradio_api/file={path}")[0] in (403, 404)


def the_example_of_the_documentation_makes_a_film(server: Server) -> None:
    """And what programs may not do is refused in a sentence."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(code.strip().splitlines()) <= 10
    patient = f'"{server.address}", httpx_kwargs={{"timeout": {PATIENCE}}}'
    program = code.replace('"http://127.0.0.1:7860"', patient)
    assert patient in program
    small = '{"preset": "draft", "frames": 3, "steps": 4, "level": 0.5}'
    program = re.sub(r"settings=\{.*?\}", f"settings={small}", program)
    program = program.replace('"embedded"', '"model"')
    assert small in program
    program += f"""
import json, pathlib
assert pathlib.Path(film).read_bytes()[4:8] == b"ftyp"
names = [pathlib.Path(file).name for file in files]
records = ["report.html", "result.json", "settings.toml"]
assert names == ["morph.mp4", *records, "frames.zip", "everything.zip"], names
result = json.loads(pathlib.Path(files[2]).read_text())
assert result["settings"]["film"]["frames"] == 3 and len(result["times"]) == 3
pictures = [handle_file("a.png"), handle_file("b.png")]
for settings, images, model, words in (
    ({{"cache": "/tmp/x"}}, pictures, "model", "no setting called 'cache'"),
    ({{"level": 7}}, pictures, "model", "level is 7"),
    ({{}}, pictures[:1], "model", "a film takes 2 to 12 pictures; got 1"),
    ({{}}, [pictures[0], handle_file("text.png")], "model", "text.png is not an image"),
    ({{"steps": 4}}, [pictures[0]] * 2, "model", "identical"),
    ({{}}, pictures, "tokenizer", "tokenizer"),
    ({{}}, [{{"path": "{server.folder}/a.png", "meta": {{"_type": "gradio.FileData"}}}}] * 2,
     "model", ""),
):
    try:
        client.predict(images=images, settings=settings, model=model, api_name="/morph")
    except Exception as error:
        assert words in str(error).lower(), (words, str(error))
    else:
        raise AssertionError(words)
assert [name for name in client.view_api(return_format="dict")["named_endpoints"]] == ["/morph"]
"""
    ran = subprocess.run(
        [sys.executable, "-c", program],
        cwd=server.folder,
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        check=False,
    )
    assert ran.returncode == 0, ran.stderr + server.log.read_text()


@pytest.mark.whole
def test_the_page_is_served_to_this_machine_and_its_programs(server: Server) -> None:
    """One test, so that no worker starts a second server for a part of it."""
    the_page_answers_and_asks_nobody_else(server)
    a_foreign_host_is_refused(server)
    another_sites_page_is_refused(server)
    browsers_are_told_to_ask_nobody_else(server)
    files_of_the_machine_are_not_served(server)
    the_example_of_the_documentation_makes_a_film(server)


@pytest.mark.whole
def test_it_is_not_open_to_other_machines_without_a_password(folder: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "diffusion_geodesics", "web", "--host", "0.0.0.0", "--no-browser"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ran.returncode == 1
    assert "host is 0.0.0.0, which other machines can reach; give a name with auth" in ran.stderr


@pytest.mark.slow
def test_visitors_need_the_password(folder: Path) -> None:
    with serving(folder, "--auth", "ann", GEODESIC_WEB_PASSWORD="secret") as server:
        for path in ("/config", "/gradio_api/info", "/gradio_api/file=/etc/passwd"):
            assert ask(server, path=path)[0] in (401, 403), path
        assert ask(server, "POST", "/gradio_api/upload")[0] == 401
        assert ask(server, "POST", "/gradio_api/queue/join")[0] == 401
        form = {"Content_Type": "application/x-www-form-urlencoded"}
        for password, status in (("wrong", 400), ("secret", 200)):
            body = f"username=ann&password={password}"
            assert ask(server, "POST", "/login", body, **form)[0] == status


@pytest.mark.slow
def test_nothing_is_left_when_it_ends(folder: Path, tmp_path: Path) -> None:
    with serving(folder, "--model", "model", TMPDIR=str(tmp_path)):
        assert len(list(tmp_path.glob("geodesic-web-*"))) == 1
    assert list(tmp_path.glob("geodesic-web-*")) == []

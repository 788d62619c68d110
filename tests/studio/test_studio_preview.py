"""The preview page shows the issue as it stands in the file, and nothing to strangers."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from flask.testing import FlaskClient

from newsletter.desk.project import open_desk
from newsletter.studio import preview

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


@pytest.fixture
def client(project_folder: Path) -> FlaskClient:
    app = preview.open_preview(open_desk(project_folder), "2016-04-22")
    return app.test_client()


def test_the_page_shows_desktop_and_phone_in_light_and_dark_and_the_text(client: FlaskClient) -> None:
    page = client.get("/").get_data(as_text=True)
    assert page.count('width="700"') == page.count('width="375"') == 2
    assert "/email/dark?" in page
    assert "Burundi" in page


def test_dark_is_shown_on_a_light_screen_and_light_on_a_dark_one(client: FlaskClient) -> None:
    dark = client.get("/email/dark").get_data(as_text=True)
    light = client.get("/email/light").get_data(as_text=True)
    assert "prefers-color-scheme" not in dark + light.replace('content="light dark"', "")
    assert "@media all" in dark
    assert "@media not all" in light


def test_images_come_from_the_issues_folder_before_they_are_published(
    client: FlaskClient, project_folder: Path
) -> None:
    issues = project_folder / "issues"
    (issues / "photos").mkdir()
    (issues / "photos" / "a hall.png").write_bytes(b"a picture")
    issue = issues / "2016-04-22.yaml"
    issue.write_text(issue.read_text().replace("  actions:", "    - {src: photos/a hall.png, alt: A hall}\n  actions:"))
    sources = re.findall(r'<img [^>]*src="([^"]+)"', client.get("/email/light").get_data(as_text=True))
    assert sources == ["/pictures/images/nine-candidates.png", "/pictures/photos/a%20hall.png"]
    for source in sources:
        with client.get(source) as image:
            assert image.status_code == 200
    assert client.get("/pictures/../newsletter.yaml").status_code == 404


def test_a_picture_that_comes_later_is_seen(client: FlaskClient, project_folder: Path) -> None:
    issue = project_folder / "issues" / "2016-04-22.yaml"
    issue.write_text(issue.read_text().replace("images/nine-candidates.png", "images/late.png"))
    assert "there is no picture" in client.get("/").get_data(as_text=True)
    (project_folder / "issues" / "images" / "late.png").write_bytes(b"a picture")
    assert "there is no picture" not in client.get("/").get_data(as_text=True)


def test_saving_the_file_changes_the_version_and_the_page(client: FlaskClient, project_folder: Path) -> None:
    version = client.get("/version").get_data(as_text=True)
    assert client.get("/version").get_data(as_text=True) == version
    issue = project_folder / "issues" / "2016-04-22.yaml"
    issue.write_text(issue.read_text().replace("  Burundi:", "  Brundi:"))
    assert client.get("/version").get_data(as_text=True) != version
    page = client.get("/").get_data(as_text=True)
    assert "did you mean" in page
    assert client.get("/email/light").status_code == 404
    issue.write_text(issue.read_text().replace("  Brundi:", "  Rwanda:"))
    assert "Rwanda" in client.get("/").get_data(as_text=True)


def test_a_request_under_another_host_name_is_refused(client: FlaskClient) -> None:
    assert client.get("/", headers={"Host": "evil.example"}).status_code == 403
    assert client.get("/", headers={"Host": "localhost:8000"}).status_code == 200


def test_a_file_that_goes_away_while_it_is_watched_does_no_harm(tmp_path: Path) -> None:
    one = tmp_path / "one"
    one.write_text("x")
    before = preview.fingerprint([one])
    one.unlink()
    assert preview.fingerprint([one]) != before


def test_an_open_page_reloads_when_the_file_is_saved(chromium: str, project_folder: Path, tmp_path: Path) -> None:
    app = preview.open_preview(open_desk(project_folder), "2016-04-22")
    asked: list[str] = []
    addresses: list[str] = []

    def counting(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        asked.append(environ["PATH_INFO"])
        return app(environ, start_response)

    def wait_until(what: Callable[[], object]) -> None:
        for _ in range(300):
            if what():
                return
            time.sleep(0.1)
        pytest.fail(f"the page asked only for {asked}")

    serving = threading.Thread(target=preview.serve, args=(counting, 0, addresses.append), daemon=True)
    serving.start()
    wait_until(lambda: addresses)
    flags = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
    command = [chromium, *flags, f"--user-data-dir={tmp_path / 'browser'}", "--remote-debugging-port=0", addresses[0]]
    browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: asked.count("/version") >= 2)
        assert asked.count("/") == 1
        issue = project_folder / "issues" / "2016-04-22.yaml"
        issue.write_text(issue.read_text().replace("number: 245", "number: 999"))
        wait_until(lambda: asked.count("/") == 2)
    finally:
        browser.kill()
        browser.wait()


def test_many_findings_do_not_push_the_mail_off_the_screen(chromium: str, project_folder: Path, tmp_path: Path) -> None:
    issue = project_folder / "issues" / "2016-04-22.yaml"
    issue.write_text(issue.read_text().replace("](https://example.org/", "]  (https://example.org/"))
    page = preview.open_preview(open_desk(project_folder), "2016-04-22").test_client().get("/").get_data(as_text=True)
    assert page.count('<li class="warn">') > 30
    tell = "document.title = 'top ' + document.querySelector('iframe').getBoundingClientRect().top"
    file = tmp_path / "page.html"
    file.write_text(page.replace("</body>", f"<script>{tell}</script></body>"))
    flags = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
    command = [chromium, *flags, f"--user-data-dir={tmp_path / 'browser'}", "--window-size=1300,900", "--dump-dom"]
    shown = subprocess.run([*command, file.as_uri()], check=True, capture_output=True, text=True, timeout=120).stdout
    (top,) = re.findall(r"<title>top ([\d.]+)", shown)
    assert float(top) < 500

"""The other senders that peers.py runs, each as its documents say."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import bench

REQUIREMENTS = {
    "museletter": ("museletter==1.5.*",),
    "django-newsletter": ("django-newsletter==1.2", "sorl-thumbnail"),  # the latter as its documents say
}
PARAGRAPH = "Put there to make it longer: the quick brown fox jumps over the lazy dog, and over it again.\n\n"
BODY = PARAGRAPH * (31_000 // len(PARAGRAPH))  # in html and in text, with all around it, some 70 kB


class Museletter:
    """museletter's server, its sending rate so high that it never waits; it goes on by itself when it is started."""

    faster = 1

    def __init__(self, program: Path, folder: Path, readers: int, port: int, stack: contextlib.ExitStack) -> None:
        self.program = program
        self.folder = folder
        self.readers = readers
        self.server: subprocess.Popen[bytes] | None = None
        self.campaign = ""
        line = [sys.executable, str(bench.BENCHMARKS / "ses_to_smtp.py"), str(port)]
        standing_in = stack.enter_context(subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        assert standing_in.stdout is not None
        self.ses = int(standing_in.stdout.readline())
        assert standing_in.stdin is not None
        stack.callback(standing_in.stdin.close)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        (folder / "serve.py").write_text(MUSELETTER)

    def ready(self) -> None:
        self._serve()
        rows = "".join(f"reader{n}@example.org,Reader {n},active\n" for n in range(1, self.readers + 1))
        self._call("/v1/lists/default/subscribers/import", {"csv": f"email,name,status\n{rows}"})
        campaign = {"subject": "Twenty-two countries", "body_markdown": BODY}
        self.campaign = self._call("/v1/lists/default/campaigns", campaign)["id"]

    def begin(self) -> subprocess.Popen[bytes]:
        assert self.server is not None
        self._call(f"/v1/campaigns/{self.campaign}/send", {"confirm": True, "skip_test": True})
        return self.server

    def again(self) -> subprocess.Popen[bytes]:
        return self._serve()

    def is_done(self) -> bool:
        return self._state() != "sending"

    def says(self) -> tuple[set[str], str]:
        self._serve()
        words = self._state()
        assert self.server is not None
        self.server.kill()
        self.server.wait()
        return set(), words

    def _state(self) -> str:
        return str(self._call(f"/v1/campaigns/{self.campaign}/stats")["status"])

    def _serve(self) -> subprocess.Popen[bytes]:
        settings = {
            "MUSELETTER_API_KEY": "benchmark",
            "MUSELETTER_DB_PATH": str(self.folder / "museletter.db"),
            "MUSELETTER_BASE_URL": "https://news.example.org",
            "MUSELETTER_FROM_EMAIL": "news@example.org",
            "MUSELETTER_SEND_RATE": "1000000",
            "AWS_ACCESS_KEY_ID": "benchmark",
            "AWS_SECRET_ACCESS_KEY": "benchmark",
            "PATH": os.environ["PATH"],
        }
        line = [str(self.program), str(self.folder / "serve.py"), str(self.port), f"http://127.0.0.1:{self.ses}"]
        self.server = subprocess.Popen(line, env=settings, cwd=self.folder)
        for _ in range(200):
            with contextlib.suppress(OSError):
                self._call("/health")
                return self.server
            time.sleep(0.05)
        sys.exit("museletter did not start")

    def _call(self, path: str, body: Mapping[str, object] | None = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": "Bearer benchmark", "Content-Type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, headers)
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - ours
            return dict(json.load(answer))


# Its own `serve`, with its own SES client pointed at the stand-in by the place that its settings have for a mailer.
MUSELETTER = """
import sys
import uvicorn
from museletter.app import create_app
from museletter.config import Settings
from museletter.ses import SESClient

settings = Settings.from_env()
client = SESClient(settings.aws_region)
client.endpoint = sys.argv[2]
settings.extra["mailer"] = client
uvicorn.run(create_app(settings), host="127.0.0.1", port=int(sys.argv[1]), log_level="error")
"""


class DjangoNewsletter:
    """django-newsletter in a new Django project, without any of its delays; cron would start its command anew."""

    faster = 1

    def __init__(self, program: Path, folder: Path, readers: int, port: int, stack: contextlib.ExitStack) -> None:
        del stack
        self.program = program
        self.folder = folder
        self.sender: subprocess.Popen[bytes] | None = None
        (folder / "site_settings.py").write_text(DJANGO_SETTINGS.format(folder=folder, port=port))
        (folder / "site_urls.py").write_text(DJANGO_URLS)
        (folder / "fill.py").write_text(DJANGO_FILL.format(readers=readers, body=BODY))
        subprocess.run(self._line("migrate", "-v", "0"), cwd=folder, check=True, stderr=subprocess.DEVNULL)
        subprocess.run([program, "fill.py"], cwd=folder, check=True, stderr=subprocess.DEVNULL)

    def _line(self, *words: str) -> list[str]:
        return [str(self.program), "-m", "django", *words, "--settings", "site_settings", "--pythonpath", "."]

    def ready(self) -> None:
        pass

    def begin(self) -> subprocess.Popen[bytes]:
        line = self._line("submit_newsletter", "-v", "0")
        self.sender = subprocess.Popen(line, cwd=self.folder, stderr=subprocess.DEVNULL)
        return self.sender

    again = begin

    def is_done(self) -> bool:
        return self.sender is not None and self.sender.poll() == 0

    def says(self) -> tuple[set[str], str]:
        code = (
            "from newsletter.models import Submission as S; s = S.objects.get();"
            " print('sent' if s.sent else 'sending' if s.sending else 'queued')"
        )
        line = self._line("shell", "-v", "0", "-c", code)
        said = subprocess.run(line, cwd=self.folder, check=True, capture_output=True, text=True).stdout
        return set(), re.findall(r"\w+", said)[-1]


DJANGO_SETTINGS = """
SECRET_KEY = "benchmark"
DEBUG = False
ALLOWED_HOSTS = ["news.example.org"]
SITE_ID = 1
ROOT_URLCONF = "site_urls"
USE_TZ = True
STATIC_URL = "/static/"
INSTALLED_APPS = [
    "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "django.contrib.messages",
    "django.contrib.sites", "sorl.thumbnail", "newsletter",
]
TEMPLATES = [{{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}}]
DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": "{folder}/site.db"}}}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
EMAIL_HOST, EMAIL_PORT = "127.0.0.1", {port}
NEWSLETTER_THUMBNAIL = "sorl-thumbnail"
NEWSLETTER_USE_HTTPS = True
"""

DJANGO_URLS = """
from django.urls import include, path

urlpatterns = [path("newsletter/", include("newsletter.urls"))]
"""

DJANGO_FILL = """
import os

os.environ["DJANGO_SETTINGS_MODULE"] = "site_settings"
import django

django.setup()
from newsletter.models import Article, Message, Newsletter, Submission, Subscription

letter = Newsletter.objects.create(title="Weekly", slug="weekly", email="news@example.org", sender="Newsletter")
Subscription.objects.bulk_create(
    Subscription(newsletter=letter, name_field=f"Reader {{n}}", email_field=f"reader{{n}}@example.org", subscribed=True)
    for n in range(1, {readers} + 1)
)
message = Message.objects.create(title="Twenty-two countries", slug="issue", newsletter=letter)
paragraphs = {body!r}.strip().split("\\n\\n")
text = "\\n".join(f"<p>{{one}}</p>" for one in paragraphs)
Article.objects.create(title="All of them", text=text, post=message, sortorder=10)
submission = Submission.from_message(message)
submission.prepared = True
submission.save()
"""

"""What is examined, and with what."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

from newsletter.config import Project
from newsletter.doctor.dns import Resolver
from newsletter.providers.base import Provider
from newsletter.providers.dkim import Key
from newsletter.providers.outbox import Outbox
from newsletter.providers.smtp import Smtp

Clock = Callable[[], dt.datetime]


@dataclass(frozen=True)
class Case:
    """A project with its carrier, None when it cannot be opened; `clock` is this machine's, aware and in UTC."""

    project: Project
    provider: Provider | None
    resolver: Resolver
    clock: Clock

    @property
    def domain(self) -> str:
        """The domain of the From, which readers see and DMARC is about."""
        return self.project.settings.domain.lower()

    @property
    def bounce_domain(self) -> str:
        """The domain of the return path, which SPF is about."""
        settings = self.project.settings
        return (settings.bounce or settings.sender.address).rpartition("@")[2].lower()

    @property
    def server(self) -> str | None:
        """The SMTP server that takes our mail; None for other carriers."""
        return self.provider.host if isinstance(self.provider, Smtp) else None

    @property
    def foreign(self) -> str | None:
        """The name of a carrier that composes, signs and sends on its own; None when that is done here."""
        if self.provider is None or isinstance(self.provider, Smtp | Outbox):
            return None
        return self.provider.name

    @property
    def keys(self) -> tuple[Key, ...]:
        """The keys that mail is signed with here."""
        signer = self.provider.signer if self.provider else None
        return signer.keys if signer else ()

"""Checks of links that need no network: what an address says about itself."""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import parse_qsl, urlsplit

from newsletter.checks.finding import check
from newsletter.checks.proof import Link, Proof, Spot

_SHORTENERS = re.compile(
    r"bit\.ly|bitly\.com|buff\.ly|cutt\.ly|dlvr\.it|fb\.me|goo\.gl|ht\.ly|hubs\.ly|ift\.tt|is\.gd|"
    r"j\.mp|lnkd\.in|mailchi\.mp|ow\.ly|rb\.gy|rebrand\.ly|shorturl\.at|s\.id|snip\.ly|sl\.al|"
    r"soo\.gd|t\.co|t\.ly|tiny\.cc|tinyurl\.com|trib\.al|tr\.im|urlz\.fr|v\.gd|wp\.me|x\.co"
)
_WRAPPERS = re.compile(
    r"(?:.*\.)?(?:safelinks\.protection\.outlook\.com|urldefense\.(?:com|proofpoint\.com)|list-manage\.com|"
    r"sendgrid\.net|mailgun\.org|mandrillapp\.com|awstrack\.me|ct\.sendgrid\.net|click\.icptrack\.com)|l\.facebook\.com|"
    r"lm\.facebook\.com|out\.reddit\.com|away\.vk\.com"
)
_GOOGLE = re.compile(r"(?:www\.)?google\.[a-z.]{2,6}")
_TRACKING = re.compile(
    r"utm_\w+|fbclid|gclid|dclid|gbraid|wbraid|msclkid|yclid|igshid|igsh|mc_eid|mc_cid|mkt_tok|_hsenc|_hsmi|vero_id|"
    r"oly_enc_id|oly_anon_id|s_cid|wickedid|ref_src|trk|spm|cmpid|campaign_id|ss_email_id|bsft_eid",
    re.IGNORECASE,
)
_SESSION = re.compile(
    r"phpsessid|jsessionid|sessionid|session_id|sessid|access_token|auth_?token|token|api_?key|x-amz-signature",
    re.IGNORECASE,
)
_LABEL_ADDRESS = re.compile(r"(?:https?://)?((?:[\w-]+\.)+[a-z]{2,})(?::\d+)?(?:[/?#].*)?", re.IGNORECASE)
_PRIVATE = re.compile(r"localhost|.*\.(?:localhost|local|internal|intranet|lan|home|corp|test|invalid|onion\.to)|[^.]+")
_WEB = ("http://", "https://")


def _web(proof: Proof) -> Iterator[tuple[Link, str]]:
    """Yield the links to pages, each with its host in lower case."""
    for link in proof.links:
        if link.href.lower().startswith(_WEB):
            yield link, (urlsplit(link.href).hostname or "").rstrip(".").lower()


@check("link-shortener", "warn")
def link_shortener(proof: Proof) -> Iterator[Spot]:
    """A short link hides where it goes, counts who follows it, and dies with its service. Link the page itself."""
    for link, host in _web(proof):
        if _SHORTENERS.fullmatch(host.removeprefix("www.")):
            yield proof.at(
                link, f"'{link.label}' goes through the link shortener {host}: {link.href}; link the page itself"
            )


@check("link-redirect", "warn")
def link_redirect(proof: Proof) -> Iterator[Spot]:
    """A link was copied from a mail or a search page and goes through a service that records who clicks."""
    for link, host in _web(proof):
        if _WRAPPERS.fullmatch(host) or (_GOOGLE.fullmatch(host) and urlsplit(link.href).path == "/url"):
            yield proof.at(
                link, f"'{link.label}' goes through {host}, which records clicks; open it and link where it ends"
            )


@check("link-userinfo", "block")
def link_userinfo(proof: Proof) -> Iterator[Spot]:
    """An address with a name or password before the host gives it to every reader, and is how fake links are made."""
    for link, host in _web(proof):
        if "@" in urlsplit(link.href).netloc:
            yield proof.at(
                link, f"'{link.label}' carries a user's name before the host {host}; delete all up to the '@'"
            )


@check("link-number-host", "block")
def link_number_host(proof: Proof) -> Iterator[Spot]:
    """A link names a computer by number; filters take that for fraud, and the number may be another's next year."""
    for link, host in _web(proof):
        try:
            ipaddress.ip_address(host)
        except ValueError:
            if not re.fullmatch(r"0x[0-9a-f]+|\d+(?:\.\d+)*", host):
                continue
        yield proof.at(link, f"'{link.label}' leads to the number {host}; write the host's name")


@check("link-private-host", "block")
def link_private_host(proof: Proof) -> Iterator[Spot]:
    """A link leads to a host that only your own network knows."""
    for link, host in _web(proof):
        if ":" not in host and not host.isdigit() and _PRIVATE.fullmatch(host):
            yield proof.at(link, f"'{link.label}' leads to {host}, which readers cannot reach; link the public page")


@check("link-mixed-script", "block")
def link_mixed_script(proof: Proof) -> Iterator[Spot]:
    """A host mixes letters of two scripts, or imitates Latin letters, so that it looks like another host."""
    for link, host in _web(proof):
        shown = ".".join(_decoded(label) for label in host.split("."))
        if any(_deceives(label) for label in shown.split(".")):
            message = f"'{link.label}' leads to '{shown}' ({host}), which mixes scripts"
            yield proof.at(link, f"{message}; type the host anew in one script")


def _decoded(label: str) -> str:
    if label.startswith("xn--"):
        try:
            return label.encode("ascii").decode("idna")
        except UnicodeError:
            return label
    return label


def _deceives(label: str) -> bool:
    """Say whether a host's label mixes scripts that no language mixes, or is made of Latin look-alikes alone."""
    scripts = {unicodedata.name(letter, "").partition(" ")[0] for letter in label if letter.isalpha()}
    if scripts & {"CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE"} and len(scripts) > 1:
        return True
    return scripts == {"CYRILLIC"} and set(label) <= set("аеорсухіјѕԁԛԝһӏ0123456789-")


@check("link-other-host", "block")
def link_other_host(proof: Proof) -> Iterator[Spot]:
    """The words of a link name one site and the link leads to another; readers and filters take that for fraud."""
    for link, host in _web(proof):
        named = _LABEL_ADDRESS.fullmatch(link.label.strip())
        said = named[1].lower().removeprefix("www.") if named else host
        real = host.removeprefix("www.")
        if said != real and not real.endswith(f".{said}"):
            yield proof.at(link, f"the words say '{link.label}', but the link leads to {host}; make them agree")


@check("link-http", "info")
def link_http(proof: Proof) -> Iterator[Spot]:
    """A link is not encrypted, so others on the way can see what a reader opens. Most sites answer to https too."""
    for link, host in _web(proof):
        if link.href.lower().startswith("http://"):
            yield proof.at(link, f"'{link.label}' leads to {host} unencrypted; try https://{link.href[7:]}")


@check("link-tracking", "warn")
def link_tracking(proof: Proof) -> Iterator[Spot]:
    """A link carries parameters that say where its reader came from, or who shared it; delete them."""
    for link, _ in _web(proof):
        names = [
            name
            for name, _ in parse_qsl(urlsplit(link.href).query, keep_blank_values=True)
            if _TRACKING.fullmatch(name)
        ]
        if names:
            yield proof.at(
                link,
                f"'{link.label}' carries the tracking parameters {', '.join(names)}: {link.href}; delete them",
            )


@check("link-session", "warn")
def link_session(proof: Proof) -> Iterator[Spot]:
    """A link carries a session or a key: it may open your account to readers, and stops working when you log out."""
    for link, _ in _web(proof):
        parts = urlsplit(link.href)
        names = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True) if _SESSION.fullmatch(name)]
        if names or ";jsessionid=" in parts.path.lower():
            name = names[0] if names else "jsessionid"
            yield proof.at(link, f"'{link.label}' carries '{name}', which may be yours alone; link the public address")


@check("link-anchor", "block")
def link_anchor(proof: Proof) -> Iterator[Spot]:
    """A link to a place in the mail (#burundi) leads nowhere, because no place has that name."""
    anchors = [href[1:] for a in proof.page_links if (href := str(a["href"])).startswith("#") and len(href) > 1]
    places = {str(tag["id"]) for tag in proof.page.find_all(id=True)}
    places |= {str(tag["name"]) for tag in proof.page.find_all("a", attrs={"name": True})}
    known = sorted(place for place in places if place)
    for anchor in dict.fromkeys(anchors):
        if anchor not in known:
            message = (
                f"no place in this mail is called '#{anchor}'; there are {', '.join('#' + place for place in known)}"
            )
            mine = next((link for link in proof.links if link.href == f"#{anchor}"), None)
            yield proof.at(mine, message) if mine else proof.spot(f"{message} (in the theme)")

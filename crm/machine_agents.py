"""Machines as data: why an activity counts as made by one, and the programs that say by their name what they are.

A program names itself in the User-Agent header (RFC 9110, 10.1.5). Two kept lists were weighed and left aside
(crawler-user-agents 1.67, crawlerdetect 0.4.2): of the 2,493 bot lines of a real log they know 1,955 and miss those
without an agent, or call proxies that people read through a crawler; neither knows scanners or mail proxies.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

# Reason on record -> what is said of it.
REASONS: dict[str, Promise] = {
    "link_scanner": _("link scanner, many links within seconds"),
    "scanner_company": _("within the same seconds as a scanner's clicks"),
    "instant_click": _("clicked within seconds of delivery, before it was opened"),
    "instant_open": _("opened the moment it was delivered"),
    "scanner_agent": _("a security scanner or script by its own name"),
    "mail_proxy": _("fetched by a mail service, not by a reader"),
    "crawler": _("crawler by its own name"),
    "no_agent": _("a program that does not say its name"),
    "said_by_person": _("a colleague said so"),
}

OPEN, CLICK = "email_open", "email_click"
MAIL = frozenset({OPEN, CLICK})
# What a log writes where the program sent no name; an activity of which nobody told the agent has an empty text.
NO_AGENT = "-"


@dataclass(frozen=True)
class Agent:
    """Programs of one sort: the reason, a pattern in their names (in any case), and where that is documented."""

    reason: str
    pattern: str
    source: str
    # Of which kinds it says something; None: whatever it does.
    kinds: frozenset[str] | None = None


# The first row that fits decides.
AGENTS = (
    Agent("no_agent", rf"^{NO_AGENT}$", "RFC 9110, 10.1.5: a user agent should send its name with each request; every browser does"),
    Agent(
        "mail_proxy",
        r"^mozilla/5\.0$",
        "Apple Mail Privacy Protection (iOS 15): loads all remote content in the background, opened or not, and says no more than this",
        frozenset({OPEN}),
    ),
    Agent(
        "mail_proxy",
        r"chrome/42\.0\.2311\.135 safari/537\.36 edge/12\.246 mozilla/5\.0$",
        "SparkPost, 'Gmail is Prefetching Images', January 2022: fetched for whoever has Gmail open, before the mail is seen",
        frozenset({OPEN}),
    ),
    Agent(
        "scanner_agent",
        r"barracuda|cudasvc|mimecast|proofpoint|urldefense|forcepoint|websense|messagelabs|symantec|brightmail|ironport"
        r"|cisco ?secure ?email|trend ?micro|\btmes\b|fireeye|trellix|zscaler|forti(mail|guard|sandbox)|check ?point|avanan"
        r"|cloudmark|vade ?secure|hornetsecurity|spamhaus|sophos|mcafee|bitdefender|kaspersky|cyren|ironscales"
        r"|virustotal|urlscan|phishtank|netcraft|palo ?alto ?networks|safelinks|urlanalyzer|censys",
        "the makers' own names, as their link and attachment scanners send them",
    ),
    Agent(
        "scanner_agent",
        r"office (existence|protocol) discovery|bingpreview|google web preview|google-?(safety|safe-?browsing|pagerenderer)|phantomjs"
        r"|\bruby\b|validator|link ?sleuth|embedly|http_?request|okhttp|whatsapp/|skypeuripreview|^mozilla/[45]\.0( \(compatible;?\))?$",
        "Microsoft MS-OFBA (discovery by HEAD); Bing and Google on their previews; a browser names its platform (MDN, User-Agent)",
        frozenset({CLICK}),
    ),
    Agent(
        "scanner_agent",
        r"headless|puppeteer|playwright|selenium|webdriver|go-http-client|axios|aiohttp|httpx|undici|^node\b|guzzle|scrapy|httpie"
        r"|apache-?httpclient|\bahc/|winhttp|powershell|postman|insomnia|lua-resty|faraday|typhoeus|perl/|php/[78]|http\.rb|reqwest|lighthouse",
        "the names that HTTP libraries and remote-controlled browsers send when nobody sets another, in their documentation",
    ),
    Agent(
        "crawler",
        # Cubot is a maker of phones: people.
        r"(?<!cu)bot|crawl|spider|slurp|feed|fetch|monitor|curl|wget|python|java/|libwww|http_client|scan|archiver|facebookexternalhit"
        r"|panscient|tiny tiny rss|universalfeedparser|reader",
        "how robots name themselves: the words that the kept lists above have in common, and that log readers count robots by",
    ),
)
# They fetch an image when the mail is shown, so their opens are people's and count; but for one right at delivery,
# which a scanner in front of the mailbox makes (policy.MACHINE_MADE.proxy_open_seconds).
SHOWN_BY_PROXY = Agent(
    "mail_proxy",
    r"googleimageproxy|ggpht\.com|yahoomailproxy",
    "Gmail Help, 'Images shown from Google's servers'; Yahoo Help SLN28749, 'Yahoo Mail Proxy': content is fetched to be displayed",
    frozenset({OPEN}),
)
# What an agent alone decides: it stays when the agent itself is no longer kept.
BY_AGENT = frozenset(agent.reason for agent in AGENTS)

_COMPILED = [(agent, re.compile(agent.pattern, re.IGNORECASE)) for agent in AGENTS]
_PROXY = re.compile(SHOWN_BY_PROXY.pattern, re.IGNORECASE)


@lru_cache(maxsize=10_000)
def reason(kind: str, user_agent: str) -> str:
    """Give why something of this kind, done by this program, was made by a machine; empty if the name does not say so."""
    if not user_agent or is_shown_by_proxy(kind, user_agent):
        return ""
    return next((agent.reason for agent, pattern in _COMPILED if _concerns(agent, kind) and pattern.search(user_agent)), "")


def is_shown_by_proxy(kind: str, user_agent: str) -> bool:
    """Say whether a mail service fetched an image, as it does when it shows the mail to its reader."""
    return kind == OPEN and bool(_PROXY.search(user_agent))


def _concerns(agent: Agent, kind: str) -> bool:
    return agent.kinds is None or kind in agent.kinds

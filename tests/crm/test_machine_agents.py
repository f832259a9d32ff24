"""Programs that say by their name that they are machines, held against a real web log and against what people use."""

import gzip
import json
import re
from collections import Counter
from pathlib import Path

import pytest

from crm import activity_kinds, machine_agents, machine_made

LOG = Path(__file__).parent.parent / "data" / "weblog"
LINE = re.compile(r'^\S+ \S+ \S+ \[[^\]]+\] "[^"]*" \d+ \S+ "[^"]*" "([^"]*)"$')
CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
GMAIL = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
YAHOO = "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html"
GMAIL_PREFETCH = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/42.0.2311.135 Safari/537.36 Edge/12.246 Mozilla/5.0"
)


@pytest.fixture(scope="module")
def agents() -> Counter:
    with gzip.open(LOG / "access.log.gz", "rt", encoding="utf-8", errors="replace") as log:
        matches = [LINE.match(line.rstrip("\n")) for line in log]
    read = Counter(match[1] for match in matches if match)
    assert (len(matches), read.total()) == (10_000, 9_999)
    return read


def test_the_rule_marks_exactly_the_bot_lines_of_a_real_web_log(agents):
    reference = json.loads((LOG / "reference.json").read_text())

    marked = sum(count for agent, count in agents.items() if machine_agents.reason("page_view", agent))

    assert marked == reference["bot_lines"] == 2_493


def test_every_line_that_is_no_bots_by_the_logs_own_rule_stays_a_persons(agents):
    rule = json.loads((LOG / "reference.json").read_text())["definitions"]["bot"]
    words = re.compile(rule.partition("(case-insensitive): ")[2], re.IGNORECASE)
    people = {agent for agent in agents if agent not in ("", "-") and not words.search(agent)}

    assert {agent: machine_agents.reason("page_view", agent) for agent in people if machine_agents.reason("page_view", agent)} == {}
    assert sum(agents[agent] for agent in people) == 9_999 - 2_493


@pytest.mark.parametrize(
    "agent",
    [
        CHROME,
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
        "Mozilla/5.0 (Linux; Android 11; CUBOT X50) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Mobile Safari/537.36",
        "Mozilla/5.0 (Linux; U; Android 2.3.5; en-gb; HTC_WildfireS_A510e) AppleWebKit/533.1 (KHTML, like Gecko) Version/4.0 Mobile Safari/533.1",
        "Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 10.0; Trident/8.0; Microsoft Outlook 16.0.17628; ms-office; MSOffice 16)",
        "Outlook-iOS/2.0",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:115.0) Gecko/20100101 Thunderbird/115.12.0",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36 Avast/131.0.0.0",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 [LinkedInApp]/9.29.7153",
        "Opera/9.80 (J2ME/MIDP; Opera Mini/7.1.32052/34.1244; U; en) Presto/2.8.119 Version/11.10",
        "",
    ],
)
@pytest.mark.parametrize("kind", sorted(machine_made.BY_PROGRAM))
def test_what_people_use_is_no_machine(kind, agent):
    assert machine_agents.reason(kind, agent) == ""


@pytest.mark.parametrize(
    ("kind", "agent", "reason"),
    [
        ("email_click", "Barracuda Sentinel (EE)", "scanner_agent"),
        ("email_click", "Mimecast-URL-Scan/1.0", "scanner_agent"),
        ("email_open", "Mozilla/5.0 (compatible; Proofpoint URL Defense)", "scanner_agent"),
        ("email_click", "Go-http-client/1.1", "scanner_agent"),
        ("page_view", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/119.0.0.0 Safari/537.36", "scanner_agent"),
        ("email_click", "Mozilla/5.0 (Windows NT 6.1; WOW64) AppleWebKit/534+ (KHTML, like Gecko) BingPreview/1.0b", "scanner_agent"),
        ("email_click", "Microsoft Office Existence Discovery", "scanner_agent"),
        ("email_click", "Mozilla/5.0", "scanner_agent"),
        ("email_click", "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", "crawler"),
        ("download", "python-requests/2.31.0", "crawler"),
        ("pricing_view", "Mozilla/5.0 (compatible; GPTBot/1.2; +https://openai.com/gptbot)", "crawler"),
        ("email_open", "Mozilla/5.0", "mail_proxy"),
        ("email_open", GMAIL_PREFETCH, "mail_proxy"),
        ("email_click", "-", "no_agent"),
        ("page_view", "-", "no_agent"),
    ],
)
def test_a_machine_is_known_by_its_name(kind, agent, reason):
    assert machine_agents.reason(kind, agent) == reason


@pytest.mark.parametrize("agent", [GMAIL, YAHOO])
def test_an_open_through_a_proxy_that_shows_mail_to_its_reader_is_the_readers(agent):
    assert machine_agents.reason("email_open", agent) == ""
    assert machine_agents.is_shown_by_proxy("email_open", agent)


def test_every_row_names_a_known_reason_a_source_and_known_kinds():
    for row in (*machine_agents.AGENTS, machine_agents.SHOWN_BY_PROXY):
        assert row.reason in machine_agents.REASONS
        assert row.source
        assert (row.kinds or frozenset()) <= activity_kinds.KINDS.keys()
    assert all(len(reason) <= 30 for reason in machine_agents.REASONS)

"""The one classifier of refusals: every row by its examples, and which of text, status, code and hint comes first."""

import pytest

from crm.bounce_providers import OUTCOMES, judge
from crm.bounce_providers.classifier import RULES, codes, fold
from crm.bounce_providers.patterns import needed, patterns
from tests.crm.returned import DATA

EXAMPLES = [(rule.label, example) for rule in RULES.rules for example in rule.examples]


@pytest.mark.parametrize(("label", "example"), EXAMPLES, ids=[example[:60] for _label, example in EXAMPLES])
def test_each_row_decides_its_examples(label, example):
    assert judge(example) == label


def test_each_row_says_one_of_the_nine_and_has_examples():
    assert all(rule.label in OUTCOMES and rule.examples for rule in RULES.rules)


def test_each_pattern_names_a_word_it_cannot_do_without():
    without = [pattern.expression for rule in RULES.rules for pattern in rule.patterns if not min(pattern.needs)]

    assert without == []


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("user (is )?unknown", {"unknown"}),
        ("over ?quota", {"quota"}),
        ("(no|zero) such user", {" such user"}),
        (r"mail\w* full", {" full"}),
        ("(disk|mail)box", {"disk", "mail"}),
        (r"\d+ ?a{2}b", {"b"}),
    ],
)
def test_the_words_that_a_pattern_needs_are_those_in_every_match(expression, words):
    assert set(needed(expression)) == words


def test_alternatives_at_the_top_are_patterns_of_their_own():
    assert [pattern.expression for pattern in patterns(["a(b|c)|d[|]e"])] == ["a(b|c)", "d[|]e"]


def test_refusals_as_servers_word_them_are_judged_rightly():
    rows = [line.split("|", 1) for line in (DATA / "bounces" / "replies.txt").read_text(encoding="utf-8").splitlines()[1:]]

    wrong = [(label, judge(reply), reply) for label, reply in rows if judge(reply) != label]

    assert wrong == []


# ---- what comes first ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "status", "label"),
    [
        ("552 5.2.2 mailbox over quota", "5.1.1", "mailbox_full"),
        ("550 5.1.0 blocked using zen.spamhaus.org", "5.1.0", "blocked_policy"),
        ("550 5.2.1 receiving mail at a rate that prevents additional messages", "5.2.1", "temporary"),
        ("550 5.1.8 Sender address rejected: Domain not found", "5.1.8", "blocked_policy"),
        ("556 5.1.10 Recipient address rejected: Domain b.example does not accept mail (nullMX)", "5.1.10", "domain_gone"),
        ("550 5.4.1 Recipient address rejected: Access denied", "5.4.1", "person_gone"),
        ("554 5.7.1 Recipient address rejected: Access denied", "5.7.1", "blocked_policy"),
        ("550 5.7.1 User unknown", "5.7.1", "person_gone"),
    ],
)
def test_the_text_counts_before_the_status(text, status, label):
    assert judge(text, status=status) == label


@pytest.mark.parametrize(
    ("status", "label"),
    [
        ("5.1.1", "person_gone"),
        ("5.1.10", "person_gone"),
        ("5.2.1", "person_gone"),
        ("5.7.13", "person_gone"),
        ("5.1.6", "mailbox_moved"),
        ("5.1.2", "domain_gone"),
        ("5.4.4", "domain_gone"),
        ("5.2.2", "mailbox_full"),
        ("4.2.2", "mailbox_full"),
        ("5.3.4", "content"),
        ("5.6.1", "content"),
        ("5.7.1", "blocked_policy"),
        ("5.1.8", "blocked_policy"),
        ("4.4.1", "temporary"),
        ("4.7.0", "temporary"),
        ("5.0.0", "other"),
        ("5.5.4", "other"),
        ("", "other"),
        ("nonsense", "other"),
    ],
)
def test_a_status_alone_is_judged_by_its_meaning_in_the_registry(status, label):
    assert judge("", status=status) == label


@pytest.mark.parametrize(("code", "label"), [("551", "mailbox_moved"), ("525", "person_gone"), ("552", "mailbox_full"), ("556", "domain_gone"), ("450", "temporary"), ("550", "other")])  # fmt: skip
def test_a_reply_code_alone_counts_last(code, label):
    assert judge("", smtp_code=code) == label
    assert judge("", smtp_code=code, status="5.7.1") == "blocked_policy"


def test_a_hint_only_breaks_ties():
    assert judge("550 rumpelstiltskin", hint="Invalid Address") == "person_gone"
    assert judge("552 5.2.2 mailbox full", hint="Invalid Address") == "mailbox_full"
    assert judge("", status="5.7.1", hint="NoEmail") == "blocked_policy"
    assert judge("", hint="Suppressed") == "other"


def test_what_a_server_turns_away_for_now_is_temporary():
    assert judge("421 4.7.0 blocked by our block list, try again later") == "temporary"
    assert judge("554 5.7.0 blocked by our block list, try again later") == "blocked_policy"


# ---- folding ---------------------------------------------------------------------------------------------------------------


def test_names_of_mailboxes_and_paths_of_links_say_nothing():
    assert judge("550 <user.unknown@b.example> refused to say, see https://b.example/mailbox-full/#quota") != "person_gone"
    assert fold("Write to <no.such.user@b.example>: https://help.example/over-quota?x=1") == "write to @ : help.example"


def test_lines_of_one_reply_are_read_as_one():
    assert judge("550-5.1.1 The email account that you tried to reach 550-5.1.1 does not exist.") == "person_gone"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("host mx[192.0.2.1] said: 550 5.1.1 unknown", ("550", "5.1.1")),
        ("550 #5.1.0 Address rejected.", ("550", "5.1.0")),
        ("Sorry. (#5.1.1)", ("", "5.1.1")),
        ("connect to mx[192.0.2.250]:25 on port 587", ("", "")),
    ],
)
def test_codes_are_found_in_a_text(text, found):
    assert codes(text) == found

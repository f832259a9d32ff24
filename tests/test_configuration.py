"""A wrong configuration stops the start with one sentence that names the variable, and nothing else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from abm import policy as abm_policy
from config import environment
from crm import policy

ROOT = Path(__file__).resolve().parent.parent


def refusal(read, name: str, value: str, monkeypatch) -> str:
    monkeypatch.setenv(name, value)
    with pytest.raises(ImproperlyConfigured) as refused:
        read()
    return str(refused.value)


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("nonsense", "DATABASE_URL must begin with sqlite:/// or postgres://."),
        ("mysql://user:geheim@host/name", "DATABASE_URL must begin with sqlite:/// or postgres://."),
        ("postgres://user:geheim@host", "DATABASE_URL must name a database, as in postgres://user:password@host:5432/name."),
        ("postgres://u@host:99999/x", "DATABASE_URL is no address of a database: Port out of range 0-65535."),
    ],
)
def test_an_address_of_no_database_that_we_know_is_refused(address, sentence, monkeypatch):
    assert refusal(lambda: environment.database("DATABASE_URL", default=""), "DATABASE_URL", address, monkeypatch) == sentence


@pytest.mark.parametrize("address", ["amqp://guest:geheim@host", "redis:6379", "nonsense"])
def test_an_address_of_no_queue_that_we_know_is_refused(address, monkeypatch):
    said = refusal(lambda: environment.broker("CELERY_BROKER_URL", default=""), "CELERY_BROKER_URL", address, monkeypatch)

    assert said == "CELERY_BROKER_URL must begin with redis://, rediss:// or filesystem://."


@pytest.mark.parametrize("zone", ["Mars/Base", "", "../x", "Europe"])
def test_a_time_zone_that_nobody_knows_is_refused(zone, monkeypatch):
    said = refusal(lambda: environment.time_zone("TIME_ZONE", default="UTC"), "TIME_ZONE", zone, monkeypatch)

    assert said == f"TIME_ZONE must be a time zone such as Europe/Amsterdam, not {zone!r}."


def test_a_log_level_that_nobody_knows_is_refused_and_small_letters_are_not(monkeypatch):
    def read() -> str:
        return environment.log_level("LOG_LEVEL", default="INFO")

    assert refusal(read, "LOG_LEVEL", "LOUD", monkeypatch) == "LOG_LEVEL must be one of DEBUG, INFO, WARNING, ERROR, CRITICAL, not 'LOUD'."
    monkeypatch.setenv("LOG_LEVEL", "debug")
    assert read() == "DEBUG"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("{", "QUORUM_POLICY is no JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)."),
        ("[1]", 'QUORUM_POLICY must be a JSON object such as {"crm": {"BANT": {"stale_after_days": 120}}}.'),
        ('{"sales": {}}', "QUORUM_POLICY must hold crm and abm, not 'sales'."),
        ('{"crm": 3}', "QUORUM_POLICY: crm must be an object of tables, not 3."),
    ],
)
def test_numbers_that_are_no_tables_are_refused(given, sentence, monkeypatch):
    assert refusal(lambda: environment.numbers("QUORUM_POLICY"), "QUORUM_POLICY", given, monkeypatch) == sentence


@pytest.mark.parametrize(
    ("module", "table", "numbers", "sentence"),
    [
        (policy, "BANT", {"stale_after_days": "x"}, "BANT.stale_after_days must be a whole number from 1 to 36,500, not 'x'."),
        (policy, "BANT", {"stale_after_days": -5}, "BANT.stale_after_days must be a whole number from 1 to 36,500, not -5."),
        (policy, "BANT", {"stale_after_days": 1.5}, "BANT.stale_after_days must be a whole number from 1 to 36,500, not 1.5."),
        (policy, "BANT", {"stale_after_days": True}, "BANT.stale_after_days must be a whole number from 1 to 36,500, not True."),
        (policy, "BANT", {"needed_of_three": 1}, "BANT.needed_of_three must be 2 or 3, not 1: the database keeps 2."),
        (policy, "BANT", [1], "BANT must be an object of names and values, not [1]."),
        (policy, "MAIL", {"role_names": "info"}, "MAIL.role_names must be a list of texts, not 'info'."),
        (policy, "DMU", {"required": [[10, ["boss"], 1]]}, 'DMU.required must be rows such as [250, ["decider", "buyer"], 3], not [10, [\'boss\'], 1].'),
        (policy, "DMU", {"required": [[10, ["buyer"], 1]]}, "DMU.required must be rows of rising size, and the last one for every size: null."),
        (policy, "DMU", {"required": 5}, "DMU.required must be a list of rows, not 5."),
        (abm_policy, "SCORING", {"half_saturation": 0}, "SCORING.half_saturation must be a number from 0.1 to 1,000,000, not 0."),
        (abm_policy, "SCORING", {"role_weight": {"boss": 2}}, "SCORING.role_weight must have names it knows, not boss."),
        (abm_policy, "SCORING", {"role_weight": {"user": "x"}}, "SCORING.role_weight.user must be a number from 0 to 100, not 'x'."),
        (
            abm_policy, "SCORING", {"kinds": {"meeting": {"points": 1}}},
            "SCORING.kinds.meeting must be an object of points, daily_cap and half_life_days, not {'points': 1}.",
        ),
        (abm_policy, "TARGETS", {"slots": 0}, "TARGETS.slots must be a whole number from 1 to 1,000,000, not 0."),
        (abm_policy, "NIGHTLY", {"due_from_minutes": 1440}, "NIGHTLY.due_from_minutes must be a whole number from 0 to 1,439, not 1440."),
        (
            abm_policy, "FIT", {"size_points": 90},
            "FIT.industry_points, size_points, revenue_points and decider_points must together be at most 100, not 160.",
        ),
    ],
)  # fmt: skip
def test_a_number_that_cannot_be_right_is_refused_by_its_name(module, table, numbers, sentence, monkeypatch):
    monkeypatch.setattr(module, table, getattr(module, table))

    with pytest.raises(ValueError, match=r"^[A-Z]+\b") as refused:
        module.configure({table: numbers})
    assert str(refused.value) == sentence


def test_numbers_that_can_be_right_are_taken_and_unknown_ones_named(monkeypatch):
    monkeypatch.setattr(policy, "BANT", policy.BANT)
    monkeypatch.setattr(policy, "DMU", policy.DMU)

    unknown = policy.configure({
        "BANT": {"stale_after_days": 120, "colour": 1}, "ZONE": {}, "DMU": {"required": [[50, ["decider"], 1], [None, ["decider", "buyer"], 4]]},
    })  # fmt: skip

    assert unknown == ["BANT.colour", "ZONE"]
    assert policy.BANT.stale_after_days == 120
    assert policy.required_dmu(None) == policy.RequiredDmu(50, ("decider",), 1)
    assert policy.required_dmu(50).people == 4


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("SECRET_KEY", "kort", "SECRET_KEY (or SECRET_KEY_FILE) must hold a secret of at least 32 characters."),
        (
            "QUORUM_POLICY", '{"crm": {"RETENTION": {"activity_days": 30}}}',
            "QUORUM_POLICY: RETENTION.activity_days must be 0, which keeps them for ever, or at least 187, not 30: "
            "score and coverage look so many days back.",
        ),
        (
            "QUORUM_POLICY", '{"crm": {"BANT": {"stale_after_days": "x"}}}',
            "QUORUM_POLICY: BANT.stale_after_days must be a whole number from 1 to 36,500, not 'x'.",
        ),
        ("QUORUM_POLICY", '{"abm": {"BANT": {}}}', "QUORUM_POLICY: abm has no number BANT."),
    ],
)  # fmt: skip
def test_a_command_prints_the_sentence_and_no_traceback(name, value, sentence, tmp_path):
    env = {key: text for key, text in os.environ.items() if key != "SECRET_KEY_FILE"} | {"VAR_DIR": str(tmp_path), name: value}

    done = subprocess.run([sys.executable, "manage.py", "check"], cwd=ROOT, env=env, check=False, capture_output=True, text=True)

    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"Wrong configuration. {sentence}\n")


@pytest.mark.parametrize("word", ["", "yes", "admins", "none,everybody"])
def test_a_word_that_is_none_of_those_asked_for_is_refused(word, monkeypatch):
    said = refusal(
        lambda: environment.one_of("REQUIRE_SECOND_FACTOR", ("none", "everybody"), default="none"),
        "REQUIRE_SECOND_FACTOR",
        word,
        monkeypatch,
    )

    assert said == f"REQUIRE_SECOND_FACTOR must be one of none, everybody, not {word!r}."


@pytest.mark.parametrize("text", ["0", "-1", "2.5", "five", "", "٣"])
def test_a_number_of_attempts_that_is_none_is_refused(text, monkeypatch):
    said = refusal(lambda: environment.count("LOCK_OUT_AFTER", default=5), "LOCK_OUT_AFTER", text, monkeypatch)

    assert said == f"LOCK_OUT_AFTER must be a whole number of at least 1, not {text!r}."


def test_words_and_numbers_are_read_past_their_spaces(monkeypatch):
    monkeypatch.setenv("REQUIRE_SECOND_FACTOR", " Everybody ")
    monkeypatch.setenv("LOCK_OUT_MINUTES", " 30 ")

    assert environment.one_of("REQUIRE_SECOND_FACTOR", ("none", "everybody"), default="none") == "everybody"
    assert environment.count("LOCK_OUT_MINUTES", default=15) == 30


@pytest.mark.parametrize("address", ["mail.example.com:25", "http://user:geheim@host", "nonsense"])
def test_an_address_of_no_mail_server_is_refused_without_showing_it(address, monkeypatch):
    said = refusal(lambda: environment.mail("EMAIL_URL", default="consolemail://"), "EMAIL_URL", address, monkeypatch)

    assert said == "EMAIL_URL must begin with smtp+tls://, smtp+ssl://, smtp://, filemail:// or consolemail://."


def test_a_mail_server_is_read_with_its_port_name_and_password(monkeypatch):
    monkeypatch.setenv("EMAIL_URL", "smtp+tls://wij:geheim@mail.example.com:587")

    found = environment.mail("EMAIL_URL", default="consolemail://")

    wanted = {
        "EMAIL_HOST": "mail.example.com",
        "EMAIL_PORT": 587,
        "EMAIL_HOST_USER": "wij",
        "EMAIL_HOST_PASSWORD": "geheim",
        "EMAIL_USE_TLS": True,
    }
    assert {name: found[name] for name in wanted} == wanted


@pytest.mark.parametrize("address", ["crm.example.com", "ftp://crm.example.com", "https://crm.example.com/path", "https://", "https://a?b"])
def test_a_public_address_that_is_none_is_refused(address, monkeypatch):
    assert "PUBLIC_URL must be an address" in refusal(
        lambda: environment.public_url("PUBLIC_URL", default="http://localhost:8000"), "PUBLIC_URL", address, monkeypatch
    )


def test_a_public_address_is_read_without_its_slash_and_an_empty_one_is_the_default(monkeypatch):
    monkeypatch.setenv("PUBLIC_URL", " https://crm.example.com/ ")
    assert environment.public_url("PUBLIC_URL", default="http://localhost:8000") == "https://crm.example.com"
    monkeypatch.setenv("PUBLIC_URL", "")
    assert environment.public_url("PUBLIC_URL", default="http://localhost:8000") == "http://localhost:8000"


def test_networks_for_webhooks_are_read_and_a_wrong_one_is_refused(monkeypatch):
    def read():
        return environment.networks("WEBHOOK_NETWORKS")

    assert [str(one) for one in read()] == []
    monkeypatch.setenv("WEBHOOK_NETWORKS", "10.0.0.0/8, fd00::/8,")
    assert [str(one) for one in read()] == ["10.0.0.0/8", "fd00::/8"]
    assert refusal(read, "WEBHOOK_NETWORKS", "10.0.0.1/8", monkeypatch).startswith("WEBHOOK_NETWORKS must be networks such as 10.0.0.0/8")

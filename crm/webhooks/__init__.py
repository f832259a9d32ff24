"""Webhooks out: rules tell what happened, workers deliver it, signed and in order, to whoever asked for it."""

from crm.webhooks.delivering import work
from crm.webhooks.outbox import KINDS, Kind, News, erase, export, let_go, register, tell
from crm.webhooks.sharing import ping, replay, replay_dead, replay_range
from crm.webhooks.subscriptions import add, change, remove, rotate, switch_off, switch_on

__all__ = [
    "KINDS",
    "Kind",
    "News",
    "add",
    "change",
    "erase",
    "export",
    "let_go",
    "ping",
    "register",
    "remove",
    "replay",
    "replay_dead",
    "replay_range",
    "rotate",
    "switch_off",
    "switch_on",
    "tell",
    "work",
]

"""Attribution: which touches a win is credited to, by eight models over the same paths."""

from abm.attribution.credit import MODELS, Attribution, Line, attribute, model_called, to_the_cent
from abm.attribution.deals import BY_CHANNEL, BY_KIND, BY_ROLE, UNKNOWN, currencies, read
from abm.attribution.path_file import PathFile
from abm.attribution.path_file import read as read_file
from abm.attribution.paths import Path

__all__ = [
    "BY_CHANNEL",
    "BY_KIND",
    "BY_ROLE",
    "MODELS",
    "UNKNOWN",
    "Attribution",
    "Line",
    "Path",
    "PathFile",
    "attribute",
    "currencies",
    "model_called",
    "read",
    "read_file",
    "to_the_cent",
]

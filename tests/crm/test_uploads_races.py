"""Two imports of the same people at the same moment: the second waits, finds them there, and nothing is doubled."""

import pytest

from crm import uploads
from crm.models import Account, Contact, Upload
from crm.uploads import running
from tests.conftest import somebody
from tests.crm.test_uploads_contacts import received
from tests.factories.crm import TeamFactory

pytestmark = pytest.mark.postgres
HEADER = "First name;Last name;E-mail;Website\n"


def test_two_imports_of_the_same_people_make_them_once(two_at_once, at):
    rep = somebody("sales rep", team=TeamFactory())
    rows = [f"Jo;Smit {n};jo{n}@bedrijf{n // 3}.nl;bedrijf{n // 3}.nl\n" for n in range(30)]
    both = [received(HEADER + "".join(order), rep, at) for order in (rows, reversed(rows))]
    for upload in both:
        uploads.check(upload, at=at)
        uploads.start(upload, by=rep, at=at)

    failed = two_at_once(*(lambda upload=upload: running.import_chunk(upload, at=at) for upload in both))

    assert failed == [None, None]
    assert (Account.objects.count(), Contact.objects.count()) == (10, 30)
    counts = Upload.objects.order_by("pk").values_list("created_count", "unchanged_count", "failed_count")
    assert list(counts) == [(30, 0, 0), (0, 30, 0)]

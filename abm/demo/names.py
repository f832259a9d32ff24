"""The words from which the demo's people are made: names, jobs, and telephone numbers that are kept free for fiction."""

from crm.models import DmuRole
from crm.models.contacts import Contact

GIVEN = (
    "Aïsha", "Amira", "Anouk", "Bas", "Bram", "Carlos", "Chantal", "Daan", "Eline", "Emre", "Esther", "Fatima", "Femke", "Floris",
    "Giulia", "Hannah", "Hugo", "Ingrid", "Iris", "Jasper", "Joost", "Karin", "Kwame", "Lars", "Lotte", "Maarten", "Manon", "Mei",
    "Mirjam", "Naomi", "Niels", "Noor", "Olga", "Pieter", "Priya", "Rachid", "Roos", "Ruben", "Sanne", "Sofia", "Stijn", "Thijs",
    "Tomasz", "Victor", "Willemijn", "Yara", "Youssef", "Zoë",
)  # fmt: skip
FAMILY = (
    "Aalbers", "Bakker", "van den Berg", "Bouwman", "Brouwer", "Chen", "Dekker", "van Dijk", "Dijkstra", "El Amrani", "Fernandes",
    "Garcia", "de Graaf", "Haverkamp", "Hendriks", "van der Heijden", "Hoekstra", "Ivanova", "Jansen", "de Jong", "Kaya", "Kok",
    "Kowalski", "Kuipers", "de Lange", "van Leeuwen", "Lindqvist", "Maas", "Meijer", "Mensah", "Moreau", "Mulder", "Nguyen", "Okafor",
    "Patel", "Peeters", "Postma", "Prins", "Rossi", "Schouten", "Schmidt", "Smit", "Takahashi", "Timmermans", "Visser", "de Vries",
    "Wagner", "van Wijk", "Willems", "Yilmaz",
)  # fmt: skip

_F = Contact.Function
# Per role the jobs of people who often hold it: title and function.
JOBS: dict[str, tuple[tuple[str, str], ...]] = {
    DmuRole.DECIDER: (
        ("Chief Executive Officer", _F.MANAGEMENT),
        ("Chief Financial Officer", _F.FINANCE),
        ("Chief Operating Officer", _F.OPERATIONS),
        ("Chief Information Officer", _F.IT),
        ("Managing Director", _F.MANAGEMENT),
    ),
    DmuRole.BUYER: (
        ("Head of Procurement", _F.PURCHASING),
        ("Strategic Buyer Hardware", _F.PURCHASING),
        ("Category Manager IT", _F.PURCHASING),
        ("Financial Controller", _F.FINANCE),
    ),
    DmuRole.INFLUENCER: (
        ("Enterprise Architect", _F.IT),
        ("Information Security Officer", _F.IT),
        ("Legal Counsel", _F.LEGAL),
        ("Head of Research", _F.RESEARCH),
        ("Sustainability Manager", _F.OPERATIONS),
    ),
    DmuRole.USER: (
        ("Workplace Services Lead", _F.IT),
        ("Senior Design Engineer", _F.RESEARCH),
        ("Data Analyst", _F.OPERATIONS),
        ("Studio Manager", _F.MARKETING),
        ("Plant Systems Manager", _F.OPERATIONS),
        ("Store Systems Manager", _F.FLEET),
    ),
    DmuRole.INITIATOR: (
        ("IT Manager", _F.IT),
        ("Innovation Manager", _F.RESEARCH),
        ("Head of Operations", _F.OPERATIONS),
        ("HR Business Partner", _F.HR),
    ),
    "": (("Executive Assistant", _F.OTHER), ("Project Manager", _F.OPERATIONS), ("Sales Operations Manager", _F.SALES)),
}

# Kept free for fiction: Ofcom's London numbers, 555-01xx in North America, the Bundesnetzagentur's Berlin numbers, ARCEP's 01 99.
PHONES = ("+442079460{:03d}", "+1212555{:04d}", "+493023125{:03d}", "+3319900{:04d}")
LAST_OF_PHONES = (999, 199, 999, 9999)
FIRST_OF_PHONES = (0, 100, 0, 0)

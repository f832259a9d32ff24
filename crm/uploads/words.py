"""The words of other people's files, as `fields.key` writes them, and what they are called here."""

YES = frozenset({"yes", "y", "true", "1", "ja", "j", "waar", "x"})
NO = frozenset({"", "no", "n", "false", "0", "nee", "onwaar"})
STATUSES = {
    "prospect": "prospect", "lead": "prospect", "suspect": "prospect", "customer": "customer", "klant": "customer", "client": "customer",
    "customer direct": "customer", "customer channel": "customer", "former customer": "former", "former": "former", "oud klant": "former",
    "past customer": "former", "competitor": "competitor", "concurrent": "competitor",
}  # fmt: skip
# HubSpot's buying roles among them; what maps to a stance is one, what maps to '' says nothing of the decision.
ROLES = {
    "initiatiefnemer": "initiator", "gebruiker": "user", "end user": "user", "eindgebruiker": "user", "beinvloeder": "influencer",
    "beïnvloeder": "influencer", "inkoper": "buyer", "koper": "buyer", "purchaser": "buyer", "budget holder": "buyer",
    "beslisser": "decider", "decision maker": "decider", "economic buyer": "decider", "executive sponsor": "influencer",
    "legal and compliance": "influencer", "technical buyer": "influencer", "evaluator": "influencer",
    "champion": "champion", "blocker": "blocker", "other": "", "overig": "",
}  # fmt: skip
STANCES = {
    "ambassadeur": "champion", "voorstander": "supporter", "neutraal": "neutral", "sceptisch": "sceptic", "skeptic": "sceptic",
    "tegenstander": "blocker", "blokkeerder": "blocker", "champion": "champion", "supporter": "supporter", "neutral": "neutral",
    "sceptic": "sceptic", "blocker": "blocker",
}  # fmt: skip
FUNCTIONS = {
    "management": "management", "general management": "management", "directie": "management", "board": "management", "finance": "finance",
    "financien": "finance", "financiën": "finance", "administratie": "finance", "accounting": "finance", "purchasing": "purchasing",
    "procurement": "purchasing", "inkoop": "purchasing", "operations": "operations", "productie": "operations", "it": "it", "ict": "it",
    "information technology": "it", "hr": "hr", "human resources": "hr", "personeelszaken": "hr", "marketing": "marketing", "sales": "sales",
    "verkoop": "sales", "legal": "legal", "juridische zaken": "legal", "fleet": "fleet", "wagenpark": "fleet", "facilitair": "fleet",
    "research": "research", "r d": "research", "other": "other", "overig": "other",
}  # fmt: skip
LEGAL_BASES = {
    "consent": "consent", "toestemming": "consent", "freely given consent from contact": "consent", "customer": "customer", "klant": "customer",
    "legitimate interest existing customer": "customer", "published": "published", "legitimate interest": "interest",
    "legitimate interest prospect lead": "interest", "legitimate interest other": "interest", "gerechtvaardigd belang": "interest",
    "contract": "contract", "performance of a contract": "contract", "overeenkomst": "contract", "unknown": "unknown", "onbekend": "unknown",
}  # fmt: skip
KIND_WORDS = {
    # HubSpot e-mail events and engagements
    "open": "email_open", "click": "email_click", "sent": "email_sent", "delivered": "email_delivered", "bounce": "email_bounced",
    "email": "email_sent", "incoming email": "email_reply", "reply": "email_reply", "email reply": "email_reply", "note": "note",
    "meeting": "meeting", "call": "call_answered", "form submission": "form_demo_request", "page view": "page_view",
    # Salesforce task and event subtypes
    "task": "note", "event": "meeting", "list email": "email_sent", "cadence": "note", "to do": "note",
    # Dutch
    "bezoek": "meeting", "afspraak": "meeting", "vergadering": "meeting", "gesprek": "meeting", "telefoon": "call_answered",
    "telefoongesprek": "call_answered", "belletje": "call_answered", "niet bereikt": "call_unanswered", "no answer": "call_unanswered",
    "notitie": "note", "e mail": "email_sent", "mail": "email_sent", "webinar": "webinar_attended", "beurs": "event_visit",
    "trade show": "event_visit", "download": "download", "prijspagina": "pricing_view", "demo request": "form_demo_request",
    "demoaanvraag": "form_demo_request",
}  # fmt: skip
KIND_WORDS |= {kind.replace("_", " "): kind for kind in (
    "page_view", "pricing_view", "form_demo_request", "email_open", "email_click", "email_reply", "webinar_attended", "event_visit",
    "call_answered", "email_sent", "email_delivered", "email_bounced", "call_unanswered",
)}  # fmt: skip
# Steps inside a mail system.
NO_KIND = frozenset({"processed", "dropped", "deferred", "statuschange", "status change", "suppressed", "spamreport", "forward", "print"})

"""Who writes: a mail server about a mail of ours that failed, or a person, a list or a machine that only speaks of such things."""

import re

from crm.bounce_providers import classifier
from crm.bounce_providers.mime import ADDRESS, Headers, Mail, words

# A notice says within so many letters what it is about.
_BEGINNING = 1_200
_SERVER = re.compile(
    r"mailer[-_ .]?daemon|post ?master|mail ?delivery|mdaemon|delivery[-_ .]?(sub)?system|microsoftexchange|undeliver|non-?delivery",
    re.IGNORECASE,
)
# People and desks are called so too: such a sender needs a subject that says what the mail is.
_PERHAPS_SERVER = re.compile(
    r"mail ?(system|administrator|server)|\bdaemon\b|mail[-_.]?adm|\bmta\b|system ?admin|bounces?\b", re.IGNORECASE
)
_SUBJECT = re.compile(
    r"undeliver|un-?deliverable|deliver\w* (status|notif|fail|problem|error|report|delay|incomplete|has failed|unsuccess|of)|fail(ed|ure)( to| in)? deliver|"
    r"delivery[ :-]|return(ed|ing) (mail|message|e-?mail|to sender)|mail (system )?(error|fail|deliver|return|status)|fail(ed|ure) (notice|mail)|(not|n't) (be )?deliver|"
    r"non[- ]?deliver|bounce|mail could not|message (delayed|status|not delivered|you sent)|nondeliverable|user unknown|unknown (user|recipient)|"
    r"warning: (message|could not send)|delayed|ndn:|\bdsn\b|rejected|error mail|problem (with|deliver)|"
    r"onbestelbaar|niet (af)?(gel|be)\w+|unzustellbar|nicht zu(ge)?stell|zustell|fehler|non (remis|distribu|deliv|d[eé]livr)|[eé]chec|impossible de|"
    r"no (se ha )?(podido )?entreg|no entregado|mancata consegna|mancato recapito|impossibile|niedostarcz|n[aã]o entregue|недостав|не доставл|"
    r"配信|送信エラー|エラー|未达|退信|无法|系统退信",
    re.IGNORECASE,
)
# No person's automatic reply begins like this.
_NOTICE = re.compile(
    r"\W*(?:undeliver|returned mail|failure notice|mail delivery|non-?delivery|delivery (?:status|fail|has failed|incomplete|delayed|notification)|message (?:undeliver|delivery)|"
    r"onbestelbaar|unzustellbar|nicht zustellbar|non remis|no se puede entregar|mancato recapito|niet bezorgd)",
    re.IGNORECASE,
)
# Mail to many carries these; a list that passes a bounce on keeps the server's name as sender.
_LIST_HEADERS = ("list-unsubscribe", "list-id", "list-post", "feedback-id")
_PASSED_ON = re.compile(r"\W*(?:fwd?|wg|tr|i|enc|doorst|rv)\s*:", re.IGNORECASE)
_LETTER = re.compile(
    r"\W*(?:dear|hello|hi|good (?:morning|afternoon|day)|geachte|beste|hallo|goede(?:morgen|middag|dag)|sehr geehrte|guten (?:tag|morgen)|liebe|bonjour|"
    r"madame|monsieur|ch[eè]r|hola|estimad|buongiorno|gentile|thank you|thanks|bedankt|danke|merci|vielen dank)\b(?!. this is the)",
    re.IGNORECASE,
)
_NOT_DELIVERED = re.compile(
    r"(?:not|n't|never|unable to|failed to|cannot) (?:yet )?(?:be )?(?:been )?(?:deliver|reach|sent|transmit|forward|accept)|undeliver|deliver\w* (?:\w+ ){0,6}(?:fail|delay|impossible|error|problem)|"
    r"fail(?:ed|ure) (?:\w+ ){0,3}deliver|returned to|was rejected|has been rejected|moderator|"
    r"niet (?:worden |kon )?(?:af)?(?:geleverd|bezorgd|besteld|bereikt)|onbestelbaar|bezorgen|nicht (?:\w+ ){0,2}zugestellt|unzustellbar|zustellung|"
    r"non (?:remis|distribu|d[eé]livr|recapit)|pas (?:pu )?[eê]tre (?:remis|distribu|d[eé]livr)|[eé]chec|mancat[ao] (?:consegna|recapito)|impossibile (?:recapitare|consegnare)|"
    r"no (?:se )?(?:ha )?(?:pudo|podido|puede) (?:entregar|ser entregado)|entregado|nie (?:zosta|mo)|не (?:доставл|может быть)|配信|送信|届|未达|退信|无法",
    re.IGNORECASE,
)
_OUR_MAIL = re.compile(
    r"\b(?:(?:your|this|following|the|original) (?:\w+ ){0,2}(?:e-?mail|message|mail)|(?:message|e-?mail|mail) (?:that )?you|deliver (?:message|mail|e-?mail) to|"
    r"(?:uw|je|dit|volgende) (?:\w+ )?(?:bericht|e-?mail|mail)|(?:ihre|diese|folgende|deine) (?:\w+ )?(?:nachricht|e-?mail|mail)|"
    r"(?:votre|ce|le) (?:\w+ )?(?:message|courriel|e-?mail|mail)|(?:su|el|este|tu) (?:mensaje|correo)|(?:il|suo|tuo|questo|vostro) (?:messaggio|mail|e-?mail))\b|"
    r"wiadomo|сообщен|письмо|メール|メッセージ|邮件|信件",
    re.IGNORECASE,
)
_RECEIPT = re.compile(
    r"\W*(?:delivered|relayed|expanded|read|not read|bezorgd|gelezen|niet gelezen|zugestellt|gelesen|ungelesen gel[oö]scht|remis|lu|entregado|le[ií]do|recapitato|letto)\s*:",
    re.IGNORECASE,
)
_ANSWER = re.compile(r"\W*(?:re|aw|antw|sv|ref|r[eé]p)\s*:", re.IGNORECASE)
_ON_A_LINE = re.compile(rf"^[ \t>*<(\[\"'-]{{0,10}}{ADDRESS.pattern}", re.MULTILINE)


def is_receipt(mail: Mail) -> bool:
    """Say whether a server tells by its subject that a mail arrived or was read."""
    return bool(_RECEIPT.match(words(mail.headers.get("subject", ""))))


def from_mail_server(mail: Mail) -> bool:
    """Say whether sender, kind or the first words of the subject show a mail server as the writer."""
    headers, subject, sender = mail.headers, words(mail.headers.get("subject", "")), words(mail.headers.get("from", ""))
    if "x-failed-recipients" in headers or mail.kind == "multipart/report":
        return True
    if _ANSWER.match(subject) and _LETTER.match(mail.text):
        return False
    return (
        bool(_SERVER.search(sender))
        or (bool(_PERHAPS_SERVER.search(sender)) and bool(_SUBJECT.search(subject)) and not _is_to_many(headers))
        # Parcels are undeliverable too.
        or (bool(_NOTICE.match(subject)) and (bool(_OUR_MAIL.search(mail.text[:_BEGINNING])) or classifier.codes(mail.text) != ("", "")))
    )


def tells_failure(mail: Mail) -> bool:
    """Say whether a mail of another sender is about a mail of ours that failed, and does not only speak of bounces.

    People, ticket systems, lists and newsletters write 'user unknown' too; to be believed such a mail must say of
    itself that a mail of ours was not delivered, under a subject that says so, and be no letter, list mail or answer.
    """
    if "bouncedRecipients" in mail.text:
        return True
    headers, subject, told = mail.headers, words(mail.headers.get("subject", "")), mail.text[:_BEGINNING]
    sent_by = headers.get("return-path", "")
    # RFC 5321 4.5.5: what tells of a failure comes with an empty return path; what it says of a reply code makes up for its subject.
    is_empty = sent_by.strip() == "<>"
    is_named = bool(_SUBJECT.search(subject)) or (is_empty and classifier.codes(told) != ("", ""))
    if _is_to_many(headers) or not is_named or _PASSED_ON.match(subject) or _LETTER.match(told):
        return False
    is_notice = is_empty or "auto-submitted" in headers or bool(_SERVER.search(sent_by) or _ON_A_LINE.search(told))
    return is_notice and bool(_OUR_MAIL.search(told)) and bool(_NOT_DELIVERED.search(told) or _NOT_DELIVERED.search(subject))


def _is_to_many(headers: Headers) -> bool:
    return any(name in headers for name in _LIST_HEADERS) and not headers.get("return-path", "").startswith("<>")

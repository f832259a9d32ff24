"""Settings, all read from the environment; a wrong value stops the start and names its variable."""

from datetime import timedelta
from email.utils import parseaddr
from pathlib import Path

import structlog
from csp.constants import NONE, SELF, UNSAFE_EVAL, UNSAFE_INLINE
from django.templatetags.static import static
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _

from config.environment import (
    broker,
    count,
    database,
    delivery_hooks,
    domain,
    env,
    flag,
    log_level,
    mail,
    mailbox,
    networks,
    numbers,
    one_of,
    optional_secret,
    public_url,
    secret,
    time_zone,
)
from config.logs import is_no_refusal, without_secrets

BASE_DIR = Path(__file__).resolve().parent.parent

VAR_DIR = Path(env.str("VAR_DIR", default=str(BASE_DIR / "var")))

DEBUG = flag("DEBUG", default=False)
SECRET_KEY = secret("SECRET_KEY")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

INSTALLED_APPS = [
    # ours come first: their templates and translations replace those of the packages
    "abm",
    "crm",
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.filters",
    "unfold.contrib.simple_history",
    "config.apps.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "axes",
    "csp",
    "django_celery_beat",
    "django_countries",
    "django_filters",
    "django_otp",
    "django_otp.plugins.otp_static",
    "django_otp.plugins.otp_totp",
    "django_structlog",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "knox",
    "rest_framework",
    "rules",
    "simple_history",
]

MIDDLEWARE = [
    "config.request_id.RequestIdMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "crm.pages.signed_in.SignedInMiddleware",
    "config.language.PreferredLanguageMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_structlog.middlewares.RequestMiddleware",
    "simple_history.middleware.HistoryRequestMiddleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# --- where things are kept -------------------------------------------------------------------------
DATABASES = {"default": database("DATABASE_URL", default=f"sqlite:///{VAR_DIR}/quorum.sqlite3")}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # IMMEDIATE: a transaction that will write asks for the lock at its start and waits its turn,
    # instead of failing half way with "database is locked".
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA busy_timeout=20000;",
    }
else:
    DATABASES["default"]["CONN_MAX_AGE"] = 60
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
    # What a CRM looks up lies in memory or on an SSD: an index is cheaper than PostgreSQL takes it for, compiling dearer.
    DATABASES["default"].setdefault("OPTIONS", {}).setdefault("options", "-c random_page_cost=1.1 -c jit=off -c parallel_setup_cost=20000")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": VAR_DIR / "media"}},
    "staticfiles": {"BACKEND": "config.static.LastingStaticFiles"},
}

# --- who may come in -------------------------------------------------------------------------------
AUTH_USER_MODEL = "crm.User"
AUTHENTICATION_BACKENDS = [
    "config.lock_out.LockOutBackend",
    "rules.permissions.ObjectPermissionBackend",
    "config.permissions.OneQueryBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
HTTPS = flag("HTTPS", default=not DEBUG)
BEHIND_PROXY = flag("BEHIND_PROXY", default=False)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_PROXY else None
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
SESSION_COOKIE_AGE = 12 * 60 * 60
# Whoever must give a code besides the password: without https it is a trial on one's own machine, and nobody must.
REQUIRE_SECOND_FACTOR = one_of(
    "REQUIRE_SECOND_FACTOR", ("none", "administrators", "everybody"), default="administrators" if HTTPS else "none"
)
OTP_TOTP_ISSUER = "Quorum"
# A link by mail works for an hour, once.
PASSWORD_RESET_TIMEOUT = 60 * 60
# Wrong passwords and codes lock a user name at one address: colleagues behind the same office address go on working.
AXES_FAILURE_LIMIT = count("LOCK_OUT_AFTER", default=5)
AXES_COOLOFF_TIME = timedelta(minutes=count("LOCK_OUT_MINUTES", default=15))
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False
AXES_CLIENT_IP_CALLABLE = "config.addresses.client_address"
AXES_LOCKOUT_CALLABLE = "crm.pages.sign_in.locked_out"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        # the admin theme's Alpine.js compiles its expressions
        "script-src": [SELF, UNSAFE_EVAL],
        "style-src": [SELF, UNSAFE_INLINE],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "frame-ancestors": [NONE],
        "base-uri": [SELF],
        "form-action": [SELF],
    },
}

# --- words, places, times --------------------------------------------------------------------------
LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("nl", _("Dutch"))]
LOCALE_PATHS = [BASE_DIR / "config" / "locale"]
TIME_ZONE = time_zone("TIME_ZONE", default="Europe/Amsterdam")
USE_TZ = True
FORMAT_MODULE_PATH = ["config.formats"]
PHONENUMBER_DEFAULT_REGION = env.str("PHONE_REGION", default="NL")

# Numbers of the playbook that this organisation changed, as JSON, e.g. {"crm": {"BANT": {"stale_after_days": 120}}};
# crm/policy/ and abm/policy/ name them all, and an unknown name or a wrong value stops the start.
QUORUM_POLICY = numbers("QUORUM_POLICY")

# --- mail ------------------------------------------------------------------------------------------
# Without a mail server every mail becomes a file that the operator can read.
vars().update(mail("EMAIL_URL", default=f"filemail://{VAR_DIR}/mail"))
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="quorum@localhost")
# Mail to contacts returns to bounces+<token>@ this domain; the key makes the tokens, and a new one makes the old ones worthless.
RETURN_PATH_DOMAIN = domain("RETURN_PATH_DOMAIN", default=parseaddr(DEFAULT_FROM_EMAIL)[1].rpartition("@")[2] or "localhost")
RETURN_PATH_KEY = optional_secret("RETURN_PATH_KEY", default=SECRET_KEY)
# Who may report at /hooks/delivery/<provider>, and the mailbox that returned mail is collected from.
DELIVERY_HOOKS = delivery_hooks()
BOUNCE_MAILBOX = mailbox("BOUNCE_MAILBOX_URL")
# What becomes of a mail there once it is stored: it is marked as read, or moved to this folder; never deleted.
BOUNCE_MAILBOX_DONE_FOLDER = env.str("BOUNCE_MAILBOX_DONE_FOLDER", default="")

# Where people find this installation: links in mail that no browser asked for begin with it.
PUBLIC_URL = public_url("PUBLIC_URL", default=next((name for name in CSRF_TRUSTED_ORIGINS if "*" not in name), "http://localhost:8000"))
# Whether people whose details are old are asked every night whether they are still right; a rep may ask at any time.
ASK_FOR_DETAILS = flag("ASK_FOR_DETAILS", default=False)

# --- webhooks out ----------------------------------------------------------------------------------
# Private networks of ours to which webhooks may lead, and whether without TLS; otherwise they go into the internet, by https.
WEBHOOK_NETWORKS = networks("WEBHOOK_NETWORKS")
WEBHOOK_HTTP = flag("WEBHOOK_HTTP", default=False)
# Seals their secrets in the database; with a new one every webhook needs a new secret.
WEBHOOK_KEY = optional_secret("WEBHOOK_KEY", default=SECRET_KEY)

# --- the queue -------------------------------------------------------------------------------------
CELERY_BROKER_URL = broker("CELERY_BROKER_URL", default="filesystem://localhost")
if CELERY_BROKER_URL.startswith("filesystem://"):
    BROKER_DIR = VAR_DIR / "broker"
    for folder in ("queue", "control"):
        (BROKER_DIR / folder).mkdir(parents=True, exist_ok=True)
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(BROKER_DIR / "queue"),
        "data_folder_out": str(BROKER_DIR / "queue"),
        "control_folder": str(BROKER_DIR / "control"),
        "store_processed": False,
    }
else:
    CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 3600}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TIMEZONE = TIME_ZONE
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
DJANGO_STRUCTLOG_CELERY_ENABLED = True

# --- the API ---------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["crm.api.keys.KeyAuthentication", "rest_framework.authentication.SessionAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["crm.api.contract.RecordPermissions"],
    "DEFAULT_PAGINATION_CLASS": "crm.api.contract.KeysetPagination",
    "DEFAULT_FILTER_BACKENDS": ["crm.api.contract.StrictFilterBackend"],
    "DEFAULT_RENDERER_CLASSES": ["crm.api.bodies.FastJSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["crm.api.bodies.BoundedJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "crm.api.schema.Schema",
    "EXCEPTION_HANDLER": "crm.api.problems.answer_error",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
# Where calls are counted that a key makes in a minute: in a place that all web processes share.
LIMITS_STORE = CELERY_BROKER_URL if CELERY_BROKER_URL.startswith("redis") else str(VAR_DIR / "limits")
KNOX_TOKEN_MODEL = "crm.ApiKey"  # noqa: S105  the name of a model
# knox's migrations would make a table for the token model that ours replaces
MIGRATION_MODULES = {"knox": None}
REST_KNOX = {"TOKEN_TTL": None, "AUTH_HEADER_PREFIX": "Token", "TOKEN_MODEL": KNOX_TOKEN_MODEL}
DATA_UPLOAD_MAX_MEMORY_SIZE = 10 * 1024 * 1024
# A file comes in bit by bit, into a file, and no further than crm.policy allows.
FILE_UPLOAD_HANDLERS = [
    "crm.uploads.door.BoundedUploadHandler",
    "django.core.files.uploadhandler.TemporaryFileUploadHandler",
]
SPECTACULAR_SETTINGS = {
    "TITLE": "Quorum API",
    "DESCRIPTION": "Accounts, the people who decide there, what they did, and what it means.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    # A caller may ask for some fields only.
    "COMPONENT_NO_READ_ONLY_REQUIRED": True,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "ENUM_SUFFIX": "",
    "ENUM_NAME_OVERRIDES": {
        "ActivityKind": "crm.activity_kinds.choices",
        "ConfirmationKind": "crm.models.ConfirmationKind",
        "JobChangeKind": "abm.models.job_changes.JobChangeSignal.Kind",
        "MissingReason": "crm.api.opportunities.MISSING_REASONS",
        "ArmName": "abm.models.experiments.Experiment.Arm",
        "AccountStatus": "crm.models.accounts.Account.Status",
        "DealKind": "crm.models.DealKind",
        "DmuRole": "crm.models.DmuRole",
        "EndReason": "crm.models.dmu.DmuMembership.EndReason",
        "FollowUpReason": "crm.models.follow_ups.FollowUp.Reason",
        "JourneyPhase": "abm.api.journey.CODES",
        "JourneyOverlap": "abm.api.journey.OVERLAPPING",
        "JobChangeStatus": "abm.models.job_changes.JobChangeSignal.Status",
        "RecordingStatus": "crm.api.activities.STATUSES",
        "Stage": "crm.models.Stage",
        "StartingStage": "crm.api.opportunities.STARTING_STAGES",
        "WebhookDeliveryState": "crm.models.webhooks.WebhookDelivery.State",
        "WebhookOffReason": "crm.models.webhooks.Webhook.Reason",
        "TargetListStatus": "abm.models.targets.TargetList.Status",
    },
    "POSTPROCESSING_HOOKS": ["drf_spectacular.hooks.postprocess_schema_enums", "crm.api.schema.complete"],
}

# --- the admin's looks -----------------------------------------------------------------------------
UNFOLD = {
    "SITE_TITLE": "Quorum",
    "SITE_HEADER": "Quorum",
    "SITE_SUBHEADER": _("knows who decides"),
    "SITE_SYMBOL": "hub",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": lambda _request: static("crm/favicon.svg")}],
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "SITE_URL": None,
    "SHOW_LANGUAGES": True,
    "STYLES": [lambda _request: static("crm/theme.css"), lambda _request: static("crm/search.css")],
    "SCRIPTS": [lambda _request: static("crm/keys.js"), lambda _request: static("crm/frame.js")],
    "ACCOUNT": {"navigation": [{"title": lambda _request: _("My account"), "link": reverse_lazy("me")}]},
    "DASHBOARD_CALLBACK": "abm.admin.my_day.panels",
    "SIDEBAR": {"show_search": True, "show_all_applications": False, "navigation": "crm.admin.sidebar.navigation"},
}

# --- logs: one line of JSON each, with the request's id ---------------------------------------------
SHARED_LOG_STEPS: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso"),
    without_secrets,
]
structlog.configure(
    processors=[
        structlog.stdlib.filter_by_level,
        *SHARED_LOG_STEPS,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.format_exc_info,
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)
LOG_LEVEL = log_level("LOG_LEVEL", default="WARNING")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {
            "()": structlog.stdlib.ProcessorFormatter,
            "processor": structlog.processors.JSONRenderer(),
            "foreign_pre_chain": [*SHARED_LOG_STEPS, structlog.processors.format_exc_info],
        },
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "filters": {"no_refusal": {"()": "django.utils.log.CallbackFilter", "callback": is_no_refusal}},
    "loggers": {
        "django": {"handlers": ["console"], "level": LOG_LEVEL, "propagate": False},
        "django.request": {"filters": ["no_refusal"]},
    },
}

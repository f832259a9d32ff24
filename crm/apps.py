"""The crm app: applies the organisation's numbers and who may do what, at start."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class CrmConfig(AppConfig):
    """Set the numbers before anything reads them."""

    name = "crm"
    verbose_name = _("CRM")

    def ready(self) -> None:
        """Apply the settings' zone and numbers; refuse a number that the policy does not have."""
        from django.conf import settings
        from django.contrib.auth.signals import user_logged_in
        from django.core.exceptions import ImproperlyConfigured
        from django.db.models.signals import post_migrate, pre_delete

        from crm import (
            access,
            activities,
            exports,
            funnel_files,
            incoming_reports,
            policy,
            privacy,
            receivers,
            return_path,
            sync,
            verdicts,
            webhooks,
        )
        from crm.merges import privacy as merged_people
        from crm.pages import signed_in
        from crm.uploads import privacy as imported_people
        from crm.webhooks import signing, targets

        access.register("crm")
        merged_people.register()
        imported_people.register()
        incoming_reports.register()
        pre_delete.connect(activities.before_contact_goes, sender="crm.Contact", dispatch_uid="crm.activities")
        post_migrate.connect(sync.after_migrations, sender=self, dispatch_uid="crm.sync")
        user_logged_in.connect(signed_in.begin, dispatch_uid="crm.signed_in")
        privacy.register("webhook_events", export=webhooks.export, erase=webhooks.erase)
        receivers.connect()
        targets.use(networks=settings.WEBHOOK_NETWORKS, http=settings.WEBHOOK_HTTP)
        signing.use_key(settings.WEBHOOK_KEY)
        privacy.retain_also("webhook_events", webhooks.let_go)
        privacy.retain_also("exports", exports.expire)
        privacy.retain_also("sync", sync.forget)
        privacy.retain_also("lead_funnels", funnel_files.let_go)
        privacy.retain_also("user_agents", verdicts.forget_agents)
        return_path.use_sender(address=settings.DEFAULT_FROM_EMAIL, domain=settings.RETURN_PATH_DOMAIN, key=settings.RETURN_PATH_KEY)
        policy.use_zone(settings.TIME_ZONE)
        try:
            unknown = policy.configure(settings.QUORUM_POLICY.get("crm", {}))
        except ValueError as error:
            raise ImproperlyConfigured(f"QUORUM_POLICY: {error}") from error
        if unknown:
            raise ImproperlyConfigured(f"QUORUM_POLICY: crm has no number {', '.join(unknown)}.")

"""The abm app: applies the organisation's numbers and listens to crm."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AbmConfig(AppConfig):
    """Set the numbers before anything reads them, and connect the receivers."""

    name = "abm"
    verbose_name = _("Account-based marketing")

    def ready(self) -> None:
        """Apply the settings' numbers; refuse one that the policy does not have."""
        from django.conf import settings
        from django.core.exceptions import ImproperlyConfigured

        from abm import exports, merges, policy, privacy, receivers, retention, states, webhook_kinds
        from abm.models import (
            AccountFit,
            AccountStanding,
            EngagementScore,
            JobChangeSignal,
            JourneyPlacement,
            PhaseChange,
            SignalEvidence,
            TargetAccount,
            TargetList,
        )
        from crm import access
        from crm import privacy as crm_privacy
        from crm.sync import followed
        from crm.uploads import undoing

        access.register("abm")
        undoing.is_computed(EngagementScore, AccountFit, AccountStanding, JourneyPlacement, PhaseChange)
        privacy.register()
        crm_privacy.retain_also("states", states.sweep)
        crm_privacy.retain_also("activities", retention.let_go)
        exports.register()
        followed.follow(followed.Followed(JobChangeSignal), followed.owned(TargetList))
        followed.is_part(SignalEvidence, "signal_id", of=JobChangeSignal)
        followed.is_part(TargetAccount, "target_list_id", of=TargetList)
        merges.register()
        receivers.connect()
        webhook_kinds.register()
        try:
            unknown = policy.configure(settings.QUORUM_POLICY.get("abm", {}))
        except ValueError as error:
            raise ImproperlyConfigured(f"QUORUM_POLICY: {error}") from error
        if unknown:
            raise ImproperlyConfigured(f"QUORUM_POLICY: abm has no number {', '.join(unknown)}.")

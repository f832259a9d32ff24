"""Addresses of the way in and of one's own account; they stand before the admin's."""

from django.urls import path

from crm.pages import me, passwords, second_factor, sign_in

urlpatterns = [
    path("login/", sign_in.SignInView.as_view(), name="sign_in"),
    path("login/code/", sign_in.CodeView.as_view(), name="sign_in_code"),
    path("password_change/", passwords.change, name="own_password"),
    path("password-reset/", passwords.AskView.as_view(), name="admin_password_reset"),
    path("password-reset/sent/", passwords.SentView.as_view(), name="password_reset_done"),
    path("password-reset/<uidb64>/<token>/", passwords.SetView.as_view(), name="password_reset_confirm"),
    path("password-reset/done/", passwords.DoneView.as_view(), name="password_reset_complete"),
    path("me/", me.page, name="me"),
    path("me/language/", me.set_language, name="set_language"),
    path("me/browsers/end-others/", me.end_others, name="end_other_browsers"),
    path("me/browsers/<int:browser>/end/", me.end_browser, name="end_browser"),
    path("me/second-factor/", second_factor.page, name="second_factor"),
    path("me/second-factor/codes/", second_factor.renew, name="renew_codes"),
    path("me/second-factor/off/", second_factor.disable, name="disable_second_factor"),
]

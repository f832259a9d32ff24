"""Look at every page of a running installation as a browser does: barriers, bytes, requests, other hosts, and a picture of each.

./dev bench looks [--url http://127.0.0.1:8000] [--user NAME] --password PASSWORD [--to FOLDER] [--only WORD] [--manner 390-dark-nl]

Each page is opened at 1400 and 390 px, light and dark, in Dutch and English; with --to a picture of each is kept.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

RULES = {
    "preload": False,
    "resultTypes": ["violations"],
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
}
# What follows a name is filled in with the newest or warmest record that the API shows this user.
PAGES = {
    "my day": "/admin/",
    "accounts": "/admin/crm/account/",
    "account": "/admin/crm/account/{accounts?ordering=-momentum}/change/",
    "contacts": "/admin/crm/contact/",
    "contact": "/admin/crm/contact/{contacts}/change/",
    "opportunities": "/admin/crm/opportunity/",
    "opportunity": "/admin/crm/opportunity/{opportunities?stage=sql}/change/",
    "board": "/admin/crm/opportunity/board/",
    "target lists": "/admin/abm/targetlist/",
    "target list": "/admin/abm/targetlist/{target-lists}/change/",
    "tasks": "/admin/crm/followup/",
    "activities": "/admin/crm/activity/",
    "imports": "/admin/crm/upload/",
    "new import": "/admin/crm/upload/add/",
    "exports": "/admin/crm/export/",
    "new export": "/admin/crm/export/new/?list=crm.account",
    "duplicates": "/admin/crm/accountpair/",
    "double contacts": "/admin/crm/contactpair/",
    "merges": "/admin/crm/merge/",
    "job changes": "/admin/abm/jobchangesignal/",
    "my account": "/admin/me/",
    "second factor": "/admin/me/second-factor/",
}
ARGUMENTS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
WIDTHS, SCHEMES, LANGUAGES = (1400, 390), ("light", "dark"), ("en", "nl")


def main() -> None:
    parser = argparse.ArgumentParser(description="Look at every page of a running installation.")
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--user", default="darcel.schlecht")
    parser.add_argument("--password", required=True)
    parser.add_argument("--to", type=Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--manner", default="", help="one manner alone, e.g. 390-dark-nl")
    wanted = parser.parse_args()
    with sync_playwright() as playwright:
        path = os.environ.get("CHROMIUM") or shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        manners = [each for each in product(WIDTHS, SCHEMES, LANGUAGES) if wanted.manner in ("", "-".join(map(str, each)))]
        found = sum(look(browser, wanted, *each) for each in manners)
        browser.close()
    sys.exit(1 if found else 0)


def look(browser: Browser, wanted: argparse.Namespace, width: int, scheme: str, language: str) -> int:
    """Open every page in one manner, print a line for each, and return how many barriers and other hosts there were."""
    context = browser.new_context(
        base_url=wanted.url, viewport={"width": width, "height": 900}, color_scheme=scheme, locale=f"{language}-NL", reduced_motion="reduce"
    )
    sign_in(context, wanted)
    print(
        f"\n{width} px, {scheme}, {language}\n{'page':<16}{'barriers':>9}{'requests':>9}{'KiB sent':>9}{'cached':>8}{'hosts':>6}{'status':>7}"
    )
    found = sum(inspect(context, wanted, name, path, f"{width}-{scheme}-{language}") for name, path in chosen(context, wanted.only))
    context.close()
    return found


def sign_in(context: BrowserContext, wanted: argparse.Namespace) -> None:
    page = context.new_page()
    page.goto("/admin/login/")
    page.fill("input[name=username]", wanted.user)
    page.fill("input[name=password]", wanted.password)
    page.click("form button[type=submit]")
    page.wait_for_url(lambda url: "/login/" not in url)
    page.close()


def chosen(context: BrowserContext, only: str) -> Iterator[tuple[str, str]]:
    """Give the pages by name and address, filled in."""
    for name, path in PAGES.items():
        if only and only not in name:
            continue
        before, _, rest = path.partition("{")
        query, _, after = rest.partition("}")
        if not query:
            yield name, path
            continue
        rows = context.request.get(f"/api/v1/{query}").json().get("results", [])
        if rows:
            yield name, f"{before}{rows[0].get('id', rows[0].get('account'))}{after}"
        else:
            print(f"{name:<16} nothing to show")


def inspect(context: BrowserContext, wanted: argparse.Namespace, name: str, path: str, manner: str) -> int:
    """Open one page twice, the second time with what the browser kept, and print what it cost."""
    page = context.new_page()
    first = traffic(page, path, is_fresh=True)
    barriers = Axe().run(page, options=RULES).response["violations"]
    too_wide = page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
    if wanted.to:
        wanted.to.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=wanted.to / f"{name.replace(' ', '-')}-{manner}.png", full_page=True)
    again = traffic(page, path)
    others = len(first["hosts"] - {urlsplit(wanted.url).netloc})
    print(
        f"{name:<16}{len(barriers):>9}{first['requests']:>9}{first['bytes'] / 1024:>9.0f}{again['bytes'] / 1024:>8.0f}{others:>6}{first['status']:>7}"
        f"{'  WIDER THAN THE SCREEN' if too_wide else ''}{''.join(complaint(each) for each in barriers)}"
    )
    page.close()
    return len(barriers) + others + too_wide


def complaint(barrier: dict) -> str:
    """Give a barrier with the first elements it stands at."""
    return f"\n    {barrier['id']} x {len(barrier['nodes'])}: {barrier['help']}\n        {barrier['nodes'][0]['html'][:160]}"


def traffic(page: Page, path: str, *, is_fresh: bool = False) -> dict:
    """Load a page and count what came over the wire; a fresh browser has kept nothing."""
    sent: list[int] = []
    hosts: set[str] = set()

    def count(response: object) -> None:
        hosts.add(urlsplit(response.url).netloc)  # type: ignore[attr-defined]
        sent.append(0)

    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    if is_fresh:
        session.send("Network.clearBrowserCache")
    received: list[float] = []
    session.on("Network.loadingFinished", lambda event: received.append(event["encodedDataLength"]))
    page.on("response", count)
    answer = page.goto(path, wait_until="networkidle")
    page.remove_listener("response", count)
    session.detach()
    return {
        "requests": len(sent),
        "bytes": sum(received),
        "hosts": {host for host in hosts if host},
        "status": answer.status if answer else 0,
    }


if __name__ == "__main__":
    main()

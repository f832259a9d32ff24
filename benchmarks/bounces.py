"""Measure the reader of returned mail on a folder of labelled mails: how right, how fast, and whether any cut of a mail breaks it.

./dev bench bounces [--folder tests/data/bounces] [--cuts 20] [--rounds 3] [--misses]

The folder holds eml/ and labels.csv with the columns file, recipient, recipient_alt, label and scored.
"""

import argparse
import random
import sys
import time
from pathlib import Path

from crm.bounce_providers import Report, read
from tests.crm.returned import figures, found_for, labels

STANDARD_BYTES = 30_000


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the reader of returned mail on labelled mails.")
    parser.add_argument("--folder", type=Path, default=Path("tests/data/bounces"), help="folder with eml/ and labels.csv")
    parser.add_argument("--cuts", type=int, default=20, help="random cuts of each mail (default: 20)")
    parser.add_argument("--rounds", type=int, default=3, help="the fastest of so many rounds counts (default: 3)")
    parser.add_argument("--misses", action="store_true", help="print each row that is read otherwise than it is labelled")
    options = parser.parse_args()
    if not (options.folder / "labels.csv").is_file():
        sys.exit(f"There is no {options.folder / 'labels.csv'}.")
    mails = {path.name: path.read_bytes() for path in sorted((options.folder / "eml").iterdir())}
    tell_figures(options.folder)
    tell_speed(mails, options.rounds)
    tell_breaks(mails, options.cuts)
    if options.misses:
        tell_misses(options.folder, mails)


def tell_figures(folder: Path) -> None:
    found = figures(folder)
    print(f"{found.rows} scored rows: nine outcomes right {found.accuracy:.3f}, recipients {found.recipients:.3f}")
    print(f"job change: precision {found.precision:.3f}, recall {found.recall:.3f}; domain gone: recall {found.domain_recall:.3f}")


def tell_speed(mails: dict[str, bytes], rounds: int) -> None:
    standard = [raw for raw in mails.values() if b"message/delivery-status" in raw.lower() and len(raw) <= STANDARD_BYTES]
    for name, some in (("all mails", list(mails.values())), ("notifications with a status part", standard)):
        if some:
            print(f"{name}: {len(some)} mails, {len(some) / fastest(some, rounds):,.0f} a second on one core")


def fastest(mails: list[bytes], rounds: int) -> float:
    """Give the processor seconds of the fastest round, after one that compiles what is compiled when first needed."""
    took = []
    for _round in range(rounds + 1):
        start = time.process_time()
        for raw in mails:
            read(raw)
        took.append(time.process_time() - start)
    return min(took[1:])


def tell_breaks(mails: dict[str, bytes], cuts: int) -> None:
    """Read each mail cut anywhere and with the other line ends; whatever it raises is counted and named."""
    chance, broken, tried, differing = random.Random(1), [], 0, 0
    for name, raw in mails.items():
        lf = raw.replace(b"\r\n", b"\n")
        other = lf.replace(b"\n", b"\r\n")
        pieces = [raw[: chance.randrange(len(raw) + 1)] for _cut in range(cuts)]
        for piece in [*pieces, lf, other]:
            tried += 1
            try:
                read(piece)
            except Exception as error:  # noqa: BLE001  counting what should not be is the point
                broken.append(f"{name}: {error!r}")
        differing += read(lf) != read(other)
    print(
        f"{tried} readings with {cuts} cuts a mail and both line ends: {len(broken)} exceptions, {differing} that differ by their line ends"
    )
    print("\n".join(broken[:20]))


def tell_misses(folder: Path, mails: dict[str, bytes]) -> None:
    for file, rows in labels(folder).items():
        reports = read(mails[file])
        for row in rows:
            report: Report | None = found_for(row, reports) or (reports[0] if len(reports) == 1 else None)
            if row["scored"] == "1" and (report is None or report.label != row["label"]):
                print(f"{file}: {row['recipient']}: {row['label']}, read as {report.label if report else 'nothing'}")


if __name__ == "__main__":
    main()

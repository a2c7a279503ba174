"""Canaries: secrets and an account number nobody has, and nothing that the program writes or prints may hold one.

Nights in the paper book and behind the gateway's wire, failures, tracebacks, reports and the library's own log with everything shown; then
every artefact is searched. Only the ledger and the file of keys know the account.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mech_exo.assembly import Workspace
from mech_exo.execution.ledger import default_path
from mech_exo.execution.rows import BookId
from tests.conftest import Ran
from tests.gateway import FakeGateway
from tests.session.stage import days, set_line, stored

Exo = Callable[..., Ran]
ACCOUNT, SHOWN = "DU7351924", "DU…924"
STRANGER = "U8642097"
"""An account of the gateway that nobody configured."""
SECRETS = {
    "finnhub: {api_key: X}": "canary-finnhub-7d1f0c", "slack_webhook: X": "https://hooks.example/canary-slack-55aa",
    "telegram: {bot_token: X}": "99:canary-telegram-b0b", "telegram: {chat_id: X}": "canary-chat-4711",
}  # fmt: skip
CANARIES = (ACCOUNT, STRANGER, "canary-finnhub", "canary-slack", "canary-telegram", "canary-chat")
KNOWING = ("config/api_keys_local.yml", "data/ledger.sqlite", "data/backups/")
NIGHTS = days("2021-06-30", 2)


@pytest.fixture(scope="module")
def gateway() -> Iterator[FakeGateway]:
    with FakeGateway(account=ACCOUNT, cash=100_000.0) as running:
        yield running


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, gateway: FakeGateway) -> Path:
    place = stored(tmp_path_factory.mktemp("canary") / "w")
    keys = [
        f"finnhub: {{api_key: '{SECRETS['finnhub: {api_key: X}']}'}}",
        f"slack_webhook: '{SECRETS['slack_webhook: X']}'",
        f"telegram: {{bot_token: '{SECRETS['telegram: {bot_token: X}']}', chat_id: '{SECRETS['telegram: {chat_id: X}']}'}}",
        f"ib_account: {ACCOUNT}",
    ]
    (place / "config" / "api_keys_local.yml").write_text("\n".join(keys) + "\n")
    set_line(place / "config" / "broker.yml", "port: null ", f"port: {gateway.port} ")
    set_line(place / "config" / "broker.yml", "connect_seconds: 15.0", "connect_seconds: 20.0")
    return place


def found(text: str) -> list[str]:
    return [canary for canary in CANARIES if canary.lower() in text.lower()]


def artefacts(home: Path) -> list[Path]:
    """Every file but those that are to know."""
    files = (path for path in home.rglob("*") if path.is_file())
    return [path for path in files if not str(path.relative_to(home)).startswith(KNOWING)]


def spoken(exo: Exo, home: Path) -> str:
    """All that a user's evening prints, everything shown."""
    told = []
    for words in (
        ("config", "show"), ("config", "show", "--effective"), ("config", "show", "--effective", "--json"), ("config", "check"),
        ("run", "--mode", "paper", "--date", NIGHTS[0], "--no-download"), ("run", "--mode", "paper", "--date", NIGHTS[1], "--no-download", "--json"),
        ("broker", "check"), ("broker", "check", "--json"), ("broker", "check", "--mode", "live"),
        ("run", "--mode", "paper", "--broker", "ib", "--date", NIGHTS[0], "--no-download"),
        ("run", "--mode", "paper", "--broker", "ib", "--date", NIGHTS[0], "--no-download", "--json"),
        ("run", "--mode", "live", "--broker", "ib", "--account", ACCOUNT, "--date", NIGHTS[1], "--no-download"),
        ("orders",), ("orders", "--json"), ("fills", "--json"), ("positions",), ("positions", "--json"), ("reconcile", "--broker", "ib"),
        ("execution", "costs", "--book", f"{ACCOUNT}/default"), ("execution", "costs", "--book", f"{SHOWN}/default", "--json"),
        ("execution", "calibrate", "--book", f"{SHOWN}/default"),
        ("report", "daily", "--book", f"{ACCOUNT}/default"), ("report", "performance", "--book", f"{SHOWN}/default"), ("report", "daily", "--book", "nobody/default"),
        ("ledger", "verify"), ("ledger", "backup"), ("why", "SYN001", "--date", NIGHTS[0]),
        ("halt", "--reason", f"look at {ACCOUNT} and {STRANGER}"), ("flatten", "--broker", "ib", "--yes"), ("resume", "--reason", f"{ACCOUNT} is right"),
    ):  # fmt: skip
        ran = exo("--debug", *words, "--home", home)
        told.append(f"$ {' '.join(map(str, words[:2]))} -> {ran.code}\n{ran.out}{ran.err}")
    return "\n".join(told)


def test_no_canary_in_anything_printed_or_written(exo: Exo, home: Path, gateway: FakeGateway) -> None:
    gateway.exchange.foreign_order("IBM", 3)
    text = spoken(exo, home)
    (home / "data" / "spoken.txt").write_text(text)
    assert found(text) == []
    assert SHOWN in text and "DEBUG ib_async" in text and f"{SHOWN}/default" in text, "it was there to be found"
    with Workspace.open(home).ledger(read_only=True) as ledger:
        assert BookId(ACCOUNT, "default") in ledger.books(), "the ledger knows"
    files = artefacts(home)
    assert {path.suffix for path in files} >= {".html", ".json", ".md"} and len(files) > 20
    guilty = [(str(path), hits) for path in files if (hits := found(path.read_bytes().decode("utf-8", "replace")))]
    assert guilty == []
    assert found(" ".join(str(path.relative_to(home)) for path in home.rglob("*"))) == [], "nor in a file's name"


def test_no_canary_when_everything_fails(exo: Exo, home: Path, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        logging.getLogger("ib_async.wrapper").error("account %s of %s", STRANGER, ACCOUNT)
        logging.getLogger("urllib3").warning("GET %s", SECRETS["slack_webhook: X"])
        raise RuntimeError(f"{ACCOUNT} {STRANGER} " + " ".join(SECRETS.values()))

    gateway.down()
    told = [exo("--debug", *words, "--home", home) for words in (
        ("broker", "check"), ("flatten", "--broker", "ib", "--yes"), ("run", "--mode", "paper", "--broker", "ib", "--date", NIGHTS[1], "--no-download"),
    )]  # fmt: skip
    assert all(ran.code != 0 for ran in told) and any("halted, but not flattened" in ran.err for ran in told)
    gateway.up()
    gateway.exchange.account = STRANGER
    told.append(exo("--debug", "broker", "check", "--home", home))
    gateway.exchange.account = ACCOUNT
    assert told[-1].code != 0
    monkeypatch.setattr(Workspace, "open", broken)
    crash = exo("--debug", "positions", "--home", home), exo("--debug", "plan", "--home", home), exo("plan", "--home", home)
    assert crash[1].code == crash[2].code == 70 and "Traceback" in crash[1].err and "Traceback" not in crash[2].err
    assert f"account U…097 of {SHOWN}" in crash[1].err
    for ran in (*told, *crash):
        assert found(ran.out + ran.err) == []


@pytest.mark.parametrize("mistake", ["ib_account: [X]", "ib_account: {a: X}", "ib_acount: X", "ib_account: X\nib_account: X", "ib_account: 'X"])
def test_no_canary_in_the_complaint_about_a_wrong_file_of_keys(exo: Exo, workspace: Path, mistake: str) -> None:
    (workspace / "config" / "api_keys_local.yml").write_text(mistake.replace("X", ACCOUNT) + "\n")
    ran = exo("--debug", "config", "check", "--home", workspace)
    assert ran.code == 2 and found(ran.out + ran.err) == [], ran.err


def test_the_ledger_and_its_backups_are_their_owners_alone(home: Path) -> None:
    """After the others: what knows the account is readable by nobody else."""
    known = [path for path in home.rglob("*") if path.is_file() and path not in artefacts(home)]
    assert default_path(home) in known
    assert {oct(path.stat().st_mode & 0o777) for path in known} == {"0o600"}, [(str(path), oct(path.stat().st_mode)) for path in known]

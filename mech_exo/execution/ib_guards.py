"""What must agree before a connection is used, and what to do when there is none. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mech_exo.domain.errors import BrokerError
from mech_exo.execution import ib_messages as words
from mech_exo.utils.broker_settings import PORTS, GatewayRules, Program
from mech_exo.utils.log import mask_accounts

ACCOUNT = re.compile(r"(D?)[A-Z]{1,2}\d{1,12}")
LOGIN = "start Gateway or TWS, log in, and allow socket clients (Global Configuration > API > Settings)"
KEYS = "config/api_keys_local.yml"


def check_settings(account: str, port: int, program: Program, *, live: bool) -> None:
    """The account's kind (``DU…`` is paper) and a known port's must be those of the session. Raises BrokerError."""
    kind, form = ("live" if live else "paper"), ACCOUNT.fullmatch(account)
    if form is None:
        raise BrokerError(
            "an account is a letter or two and digits, as U1234567; the configured one is not", remedy=f"write ib_account in {KEYS}"
        )
    if bool(form[1]) is live:
        found = f"{mask_accounts(account)} is a {'paper' if form[1] else 'live'} account"
        raise BrokerError(f"a {kind} session needs a {kind} account; {found}", remedy=f"correct ib_account in {KEYS}, or --mode")
    kinds = {known: real for (_, real), known in PORTS.items()}
    if kinds.get(port, live) is not live:
        remedy = f"{program} listens at {PORTS[program, live]} for {kind}: gateway.port in broker.yml"
        raise BrokerError(f"a {kind} session needs a {kind} port; {port} is for the other kind", remedy=remedy)


def check_account(account: str, accounts: Sequence[str]) -> None:
    """The configured account must be one of the login's. Raises BrokerError."""
    if account not in accounts:
        found = ", ".join(mask_accounts(one) for one in accounts)
        raise BrokerError(
            f"the connected account must be the configured one, {mask_accounts(account)}; this login has {found}",
            remedy=f"log in with the other user, or correct ib_account in {KEYS}",
        )


def not_connected(
    rules: GatewayRules, port: int, failure: BaseException | None, *, closed: bool, trouble: Sequence[tuple[int, str]]
) -> BrokerError:
    """Why a login came to nothing, and what to do."""
    where = f"{rules.host}:{port}"
    for code, text in trouble:
        if code == 326:
            in_use = f"gateway.client_id {rules.client_id} is in use at {where}"
            return BrokerError(f"each connected program has its own client id; {in_use}", remedy=words.remedy(code))
        return BrokerError(f"the login at {where} failed: {words.said(code, text)}", remedy=words.remedy(code))
    if isinstance(failure, ConnectionRefusedError):
        remedy = f"{LOGIN}; or correct gateway.port in broker.yml"
        return BrokerError(f"Gateway or TWS must listen at {where}; nothing does", remedy=remedy)
    if isinstance(failure, OSError) and not isinstance(failure, TimeoutError):
        return BrokerError(f"Gateway or TWS must be reachable at {where}: {failure.strerror or type(failure).__name__}", remedy=LOGIN)
    if closed:
        return BrokerError(
            f"the program at {where} closed the connection during login",
            remedy=f"is client id {rules.client_id} in use, this address trusted, the program 10.x or newer? See docs/ib.md",
        )
    return BrokerError(
        f"the login at {where} takes at most {rules.connect_seconds:g} seconds; it did not end",
        remedy="is it the API port of Gateway or TWS? A dialogue that waits for a click stops it as well",
    )

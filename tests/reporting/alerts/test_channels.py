"""Which channels there are, who is told, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from mech_exo.domain.errors import ConfigError
from mech_exo.reporting.alerts.channels import directory
from mech_exo.reporting.alerts.rows import Posted
from mech_exo.utils import log
from mech_exo.utils.alert_settings import AlertsConfig, Severity
from mech_exo.utils.config import config_hash, load
from tests.reporting.alerts.homes import home, write
from tests.reporting.alerts.servers import TOKEN, WEBHOOK


def keys(folder: Path, **values: object) -> None:
    (folder / "config" / "api_keys_local.yml").write_text(yaml.safe_dump(values))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return home(tmp_path / "w")


def test_keys_alone_make_slack_and_telegram(place: Path) -> None:
    write(place)
    found = directory(load(place))
    assert {name: one.kind.value for name, one in found.channels.items()} == {"slack": "slack", "telegram": "telegram"}
    assert found.channels["telegram"].user == "4242"
    assert all(found.routes[severity] == ("slack", "telegram") for severity in Severity)


def test_the_template_has_no_channel_and_every_default(workspace: Path) -> None:
    config = load(workspace)
    assert config.alerts == AlertsConfig()
    assert directory(config).channels == {}


def test_nothing_here_changes_what_is_decided(place: Path) -> None:
    before = config_hash(load(place))
    write(place, watch={"grace_minutes": 7})
    assert config_hash(load(place)) == before


@pytest.mark.parametrize(("critical", "said"), [(["slack"], "at least two channels"), ([], "at least two channels"), (["slack", "slack"], "two")])
def test_critical_alerts_need_two_channels(place: Path, critical: list[str], said: str) -> None:
    write(place, routes={"critical": critical})
    with pytest.raises(ConfigError, match=said):
        directory(load(place))


def test_one_channel_will_do_where_that_is_said(place: Path) -> None:
    write(place, routes={"critical": ["slack"], "info": []}, single_critical_channel=True)
    found = directory(load(place))
    assert found.told(Posted("x", "critical", "", "", 0.0)) == ("slack",) and found.told(Posted("x", "info", "", "", 0.0)) == ()
    write(place, routes={"critical": []}, single_critical_channel=True)
    with pytest.raises(ConfigError, match="need a channel"):
        directory(load(place))


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"channels": {"m": {"kind": "email"}}}, "mail: .server, sender, to. belongs to kind email"),
        ({"channels": {"M": {"kind": "slack"}}}, "small letters"),
        ({"routes": {"info": ["nobody"]}}, "nobody is none of slack, telegram"),
        ({"retry": {"shortest_seconds": 60.0, "longest_seconds": 30.0}}, "cannot be below"),
        ({"quiet": {"begins": "22:00", "ends": "07:00", "zone": "Mars/Olympus"}}, "time zone like"),
        ({"quiet": {"begins": "07:00", "ends": "07:00"}}, "two different times"),
        ({"chanels": {}}, "did you mean channels"),
        ({"commands": {"chats": ["12"]}}, "commands.chats"),
    ],
)
def test_mistakes_name_file_key_and_rule(place: Path, rules: dict[str, object], said: str) -> None:
    write(place, **rules)
    with pytest.raises(ConfigError, match=said) as error:
        load(place)
    assert "alerts.yml" in str(error.value)


@pytest.mark.parametrize(
    ("channel", "key"),
    [
        ({"kind": "slack"}, "slack_webhook"), ({"kind": "telegram"}, "telegram.bot_token"), ({"kind": "discord"}, "discord_webhook"),
        ({"kind": "ntfy"}, "ntfy_topic"), ({"kind": "url"}, "alert_urls.one"),
    ],
)  # fmt: skip
def test_a_channel_without_its_key_is_refused(place: Path, channel: dict[str, str], key: str) -> None:
    write(place, channels={"one": channel})
    keys(place)
    with pytest.raises(ConfigError, match=key) as error:
        directory(load(place))
    assert "api_keys_local.yml" in str(error.value)


def test_every_secret_and_its_pieces_are_masked(place: Path) -> None:
    directory(load(place))
    for said in (WEBHOOK, TOKEN, TOKEN.replace(":", "%3A"), WEBHOOK.rpartition("/")[2], TOKEN.partition(":")[2]):
        assert said not in log.mask(f"see {said} there")
    assert log.mask("communication services and 14242 shares") == "communication services and 14242 shares", "a word and a figure are no secrets"
    assert log.mask("chat 4242") == f"chat {log.MASK}"


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("discord://987654321012345678/aTokenOfDiscord_thatIsSecret", "discord"), ("slack://T00000001/B00000002/abcdefghSECRETijklmn", "slack"),
        ("https://hooks.slack.com/services/T/B/C", "slack"), ("mailtos://exo:apassword1@example.com", "email"), ("pagerduty://key@token12345", "url"),
    ],
)  # fmt: skip
def test_an_address_of_a_known_service_is_given_its_words_and_masked(place: Path, address: str, kind: str) -> None:
    write(place, channels={"one": {"kind": "url"}}, single_critical_channel=True)
    keys(place, alert_urls={"one": address})
    found = directory(load(place)).channels["one"]
    assert found.kind.value == kind and found.secret == address
    for piece in ("aTokenOfDiscord_thatIsSecret", "abcdefghSECRETijklmn", "apassword1", "token12345"):
        if piece in address:
            assert piece not in log.mask(f"x {piece} y")

"""Serving: the socket, what is refused, and a real process from the first request to Ctrl-C."""

from __future__ import annotations

import io
import os
import signal
import socket
import stat
import subprocess
import sys
import urllib.request

import pytest

from mech_exo.assembly import Workspace
from mech_exo.domain.errors import UserError
from mech_exo.reporting.dashboard import server
from mech_exo.reporting.dashboard.app import create_app
from mech_exo.reporting.dashboard.auth import Password
from mech_exo.utils import config
from mech_exo.utils.dashboard_settings import DashboardConfig
from mech_exo.utils.keys_file import keep_key
from tests.reporting.dashboard.serving import booked_workspace, reader_of, served


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return booked_workspace(tmp_path_factory.mktemp("server") / "w")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "localhost", "::1"])
def test_this_machines_own_addresses_need_no_password(host):
    assert server.check_host(host, locked=False) is False


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_others_reach_nothing_without_a_password(host):
    with pytest.raises(UserError, match="need a password") as refused:
        server.check_host(host, locked=False)
    assert "exo dash --set-password" in refused.value.remedy
    assert server.check_host(host, locked=True) is True


@pytest.mark.parametrize("host", ["", "no such host", "host.invalid", "127.0.0.1:80", "x" * 300])
def test_what_is_no_address_is_said_to_be_none(host):
    with pytest.raises(UserError, match="address of this machine"):
        server.check_host(host, locked=True)


def test_a_taken_port_is_said_with_another(home):
    app = create_app(reader_of(home), DashboardConfig())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"{port} on 127.0.0.1 is taken") as refused:
            server.bind(app, "127.0.0.1", port)
    assert f"exo dash --port {port + 1}" in refused.value.remedy


def test_an_address_of_another_machine_is_refused(home):
    with pytest.raises(UserError, match="address of this machine"):
        server.bind(create_app(reader_of(home), DashboardConfig()), "192.0.2.1", 0)


def test_it_is_waitress_and_bundles_are_packed_and_kept(home):
    import gzip

    with served(reader_of(home)) as site:
        page = site.get("/", Accept_Encoding="gzip")
        assert page.get("Content-Encoding") == "gzip" and not page.all("Server")
        text = gzip.decompress(page.body).decode()
        assert "suites/dash/dash_table" not in text and '<html lang="en">' in text and "https://" not in text.split("<body>")[0]
        (bundle,) = [part for part in text.split('"') if "dash_mantine_components" in part and part.endswith(".js")]
        packed, plain = site.get(bundle, Accept_Encoding="gzip, br"), site.get(bundle)
        assert gzip.decompress(packed.body) == plain.body and len(packed.body) < len(plain.body) / 3
        assert packed.get("Vary") == "Accept-Encoding" and "immutable" in packed.get("Cache-Control")
        assert site.get(bundle, Accept_Encoding="gzip;q=0").body == plain.body
        assert site.ask("HEAD", bundle, headers={"Accept-Encoding": "gzip"}).body == b""


def test_a_key_is_kept_beside_the_others_for_its_owner_alone(home):
    path = home / "config" / "api_keys_local.yml"
    path.write_text('# mine\nsec_user_agent: "Me me@example.com"   # who\ndashboard_password: "old"\nfinnhub:\n  api_key: "k3y-of-finnhub"\n')
    config.load(home)  # registers the secrets, which are masked in whatever is written elsewhere
    assert keep_key(home, "dashboard_password", "scrypt$new") == path
    assert path.read_text() == (
        '# mine\nsec_user_agent: "Me me@example.com"   # who\ndashboard_password: "scrypt$new"\nfinnhub:\n  api_key: "k3y-of-finnhub"\n'
    )
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    keep_key(home, "dashboard_token", "t0ken")
    assert config.load(home).keys.dashboard_token.get_secret_value() == "t0ken"
    assert not list(path.parent.glob(".api_keys*"))
    path.unlink()


def test_a_file_of_keys_that_is_none_is_left_as_it_is(home):
    path = home / "config" / "api_keys_local.yml"
    path.write_text("nonsense: 1\n")
    with pytest.raises(UserError):
        keep_key(home, "dashboard_password", "scrypt$new")
    assert path.read_text() == "nonsense: 1\n" and not list(path.parent.glob(".api_keys*"))
    path.unlink()


def test_a_password_is_set_from_a_pipe_and_then_guards(home, exo, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("correct horse battery\n"))
    done = exo("dash", "--set-password", "--home", home)
    assert done.code == 0, done.err
    stored = Workspace.open(home).config.keys.dashboard_password.get_secret_value()
    assert Password.read(stored).matches("correct horse battery")
    assert "correct horse" not in done.out + done.err
    path = home / "config" / "api_keys_local.yml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.unlink()
    monkeypatch.setattr(sys, "stdin", io.StringIO("short\n"))
    assert exo("dash", "--set-password", "--home", home).code == 2


def test_a_process_serves_until_ctrl_c_and_ends_well(home, exo):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mech_exo.cli", "--home", str(home), "dash", "--port", str(port)]
    quiet = os.environ | {"FLASK_DEBUG": "1", "DASH_DEBUG": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=quiet) as process:
        first = process.stderr.readline()
        assert first.startswith(f"http://127.0.0.1:{port} shows "), first
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as page:
            assert page.status == 200 and b"Mech-Exo" in page.read()
        again = exo("dash", "--port", port, "--home", home)
        assert again.code == 2 and "is taken" in again.err and "Traceback" not in again.err
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode in (0, 130), err
    assert "Traceback" not in err and "leaked" not in err and out == ""


def test_from_elsewhere_it_does_not_start_without_a_password(home, exo):
    done = exo("dash", "--host", "0.0.0.0", "--home", home)
    assert done.code == 2 and "exo dash --set-password" in done.err and "Traceback" not in done.err


def test_the_check_says_what_the_banner_says(home, exo):
    done = exo("dash", "--check", "--home", home)
    assert done.code == 3
    assert "Old figures: the last booked session is 2024-01-03" in done.out and "exo run" in done.out

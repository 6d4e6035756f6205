"""The server as a process: how it starts, stops, replaces what died, and what it logs."""

import asyncio
import os
import select
import signal
import socket
import ssl
import sys
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from api.bodies import Message
from api.server import AsgiApplication
from api.serving import STALL_SECONDS
from tests.api.small_app import PATIENCE, Failing, until
from tests.api.small_servers import read_to_end, running, start


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_lets_requests_finish(tmp_path: Path, number: signal.Signals) -> None:
    """After SIGTERM or SIGINT to all, a request that runs is answered, the status is 0, the port free, all closed."""
    with running(tmp_path) as service, service.connect() as client, service.connect() as idle:
        idle.sendall(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
        assert idle.recv(65_536).startswith(b"HTTP/1.1 200")
        client.sendall(b"GET /held/one HTTP/1.1\r\nHost: x\r\n\r\n")
        service.notes.wait_for("begun-one")
        os.killpg(service.process.pid, number)
        until(lambda: "Stopping worker-1" in service.log, "the worker to hear of it")
        assert service.notes.read("closed") is None
        service.notes.leave("release")
        answer = read_to_end(client)
        assert answer.startswith(b"HTTP/1.1 200")
        assert answer.endswith(b"finished")
        assert service.process.wait(PATIENCE) == 0
        assert service.notes.read("closed") is not None
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(("127.0.0.1", service.port))


def test_a_port_in_use_is_an_error(tmp_path: Path) -> None:
    """A second server on the same port ends at once with a message that names the port."""
    with running(tmp_path / "first") as first:
        (tmp_path / "second").mkdir()
        second = start(tmp_path / "second", port=first.port)
        assert second.process.wait(PATIENCE) != 0
        assert f"Cannot listen at HOST=127.0.0.1, PORT={first.port}: Address already in use." in second.log


def test_a_failed_start_ends_the_server(tmp_path: Path) -> None:
    """When the application cannot be built the server ends, with its message and a status that is not 0."""
    service = start(tmp_path, options={"workers": 2}, FAIL_AT_START="yes")
    assert service.process.wait(PATIENCE) == 1
    assert "the database is not there" in service.log
    assert "Respawning" not in service.log


def test_a_killed_worker_is_replaced(tmp_path: Path) -> None:
    """A worker that a signal killed is replaced, within seconds again and again, and requests are answered again."""
    with running(tmp_path) as service:
        for starts in (2, 3):
            (killed,) = service.workers()
            os.kill(killed, signal.SIGKILL)
            until(lambda: service.workers() not in ([], [killed]), "another worker")  # noqa: B023 - it is called here
            until(lambda: service.log.count("Started worker-1") == starts, "its start")  # noqa: B023 - as above
        with httpx.Client(transport=httpx.HTTPTransport(retries=5)) as client:
            assert client.get(f"{service.url}/hello").text == "hello"
        assert service.stop() == 0


def test_workers_end_with_a_killed_parent(tmp_path: Path) -> None:
    """When the parent is killed, its workers end at once, whatever they are at, and the port is free."""
    with running(tmp_path) as service, service.connect() as client:
        (worker,) = service.workers()
        ended = os.pidfd_open(worker)
        client.sendall(b"GET /held/one HTTP/1.1\r\nHost: x\r\n\r\n")
        service.notes.wait_for("begun-one")
        service.process.kill()
        assert select.select([ended], [], [], PATIENCE)[0]
        os.close(ended)
        with running(tmp_path / "next", port=service.port) as following:
            assert following.exchange(b"GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").startswith(
                b"HTTP/1.1 200"
            )


def test_a_stop_during_the_start_is_heard(tmp_path: Path) -> None:
    """SIGTERM ends a server whose worker is still importing the application, without waiting for that."""
    service = start(tmp_path, HOLD_IMPORT="yes")
    service.notes.wait_for("importing")
    assert service.stop() == 0
    assert "Killing" not in service.log


def test_query_strings_are_never_logged(tmp_path: Path) -> None:
    """At the level DEBUG a request logs its method, path, status and time, and no query, header or body."""
    with running(tmp_path) as service:
        httpx.post(f"{service.url}/length?secret-query", content=b"secret-body", headers={"x-a": "secret-header"})
        until(lambda: "INFO api.access_log POST /length 200 " in service.log, "the log line")
        assert "secret" not in service.log


@pytest.mark.parametrize(
    "key", [b"", b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"], ids=["half", "whole"]
)
def test_a_websocket_is_a_plain_request(tmp_path: Path, key: bytes) -> None:
    """Where no surface takes WebSockets, the application answers a handshake, complete or not, as any request."""
    with running(tmp_path) as service, service.connect() as client:
        client.sendall(
            b"GET /socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" + key + b"\r\n"
        )
        assert client.recv(65_536).startswith(b"HTTP/1.1 404")
        until(lambda: "GET /socket 404 " in service.log, "the log line")


def test_a_server_with_websockets_is_told_to_refuse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that can tell a client no more has the handshake closed where the application takes no WebSockets."""
    monkeypatch.setenv("NOTES", str(tmp_path))
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "websocket", "raw_path": b"/socket", "query_string": b"", "headers": []}
    asyncio.run(AsgiApplication(Failing)(scope, receive, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """Return the files of a certificate for 127.0.0.1 that signs itself, and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "doorman")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert_file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert_file, key_file


def test_tls_is_1_2_at_least(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    """With a certificate the port speaks TLS 1.2 and 1.3, not 1.1, and the application knows the scheme."""
    cert, key = certificate
    service = start(tmp_path, options={"tls_cert": str(cert), "tls_key": str(key)})
    try:
        until(lambda: "Started worker-1" in service.log, "the worker")
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = ssl.create_default_context(cafile=cert)
            context.minimum_version = context.maximum_version = version
            with httpx.Client(transport=httpx.HTTPTransport(verify=context, retries=5)) as client:
                environ = client.get(f"https://127.0.0.1:{service.port}/environ/x").json()
                assert environ["wsgi.url_scheme"] == "https"
        for version, first in (ssl.TLSVersion.TLSv1_2, SERVER_HELLO), (ssl.TLSVersion.TLSv1_1, PROTOCOL_VERSION_ALERT):
            with service.connect() as client:
                client.sendall(client_hello(version))
                assert client.recv(len(first), socket.MSG_WAITALL) == first
        assert service.stop() == 0
    finally:
        service.process.kill()
        service.process.wait()


SERVER_HELLO = b"\x16\x03\x03"
PROTOCOL_VERSION_ALERT = b"\x15\x03\x03\x00\x02\x02\x46"


def client_hello(version: ssl.TLSVersion) -> bytes:
    """Return the first message of a client that offers ``version`` and no newer one.

    Python's own client warns of TLS 1.1, or was built without it.
    """
    ecdhe_ecdsa_aes128_gcm_sha256 = b"\xc0\x2b"
    extensions = b"\x00\x0d\x00\x04\x00\x02\x04\x03"  # ecdsa_secp256r1_sha256
    extensions += b"\x00\x0a\x00\x04\x00\x02\x00\x17"  # secp256r1
    hello = version.to_bytes(2) + b"random" * 5 + b"__" + b"\x00"  # no session
    hello += b"\x00\x02" + ecdhe_ecdsa_aes128_gcm_sha256 + b"\x01\x00"  # no compression
    hello += len(extensions).to_bytes(2) + extensions
    handshake = b"\x01" + len(hello).to_bytes(3) + hello
    return b"\x16\x03\x01" + len(handshake).to_bytes(2) + handshake


@pytest.mark.skipif(sys.platform != "linux", reason="/proc/net/tcp is Linux's")
def test_silent_connections_are_probed(tmp_path: Path) -> None:
    """The kernel asks whether a silent client is still there, early enough to ask again before it gives up."""
    with running(tmp_path) as service, service.connect() as client:
        client.sendall(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(65_536).startswith(b"HTTP/1.1 200")
        here, there = f"{service.port:04X}", f"{client.getsockname()[1]:04X}"

        def timer() -> tuple[str, float]:
            rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
            kind, _, ticks = next(row[5] for row in rows if row[1][-4:] == here and row[2][-4:] == there).partition(":")
            return kind, int(ticks, 16) / os.sysconf("SC_CLK_TCK")

        until(lambda: timer()[0] == "02", "the keep-alive timer")
        assert timer()[1] < STALL_SECONDS / 2

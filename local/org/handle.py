"""A handle on a running org, for scripts and tests: its clock, its events, its connections."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import requests

from local.org import timestamps
from local.org.control import CONTROL_HEADER, SOURCE_HEADER
from local.org.faults import Fault
from local.org.home import Credentials, Home
from local.org.scenario import Scenario, ScenarioError

CONNECTION_KINDS = ("client_credentials", "password", "jwt")
API_VERSION = "59.0"
_START_SECONDS = 60
_STOP_SECONDS = 20
_REQUEST_SECONDS = 600


class OrgNotRunning(RuntimeError):
    """There is no org to talk to."""


class OrgRefused(RuntimeError):
    """The org did not do what it was asked to."""


class OrgHandle:
    """Talks to the control API of the org that runs over a home.

    :param home: the folder of a running org.
    :raises OrgNotRunning: if no org has been started there.
    """

    def __init__(self, home: str | Path) -> None:
        self.home = Home(Path(home))
        info = self.home.read_info()
        if info is None:
            raise OrgNotRunning(
                f"no org has been started in {self.home.root}; start one with "
                f"python -m local.org serve --home {self.home.root}"
            )
        self.info: dict[str, Any] = info
        self.credentials = Credentials(**json.loads(self.home.secrets.read_text(encoding="utf-8")))
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.verify = str(self.home.authority)
        self._session.headers[CONTROL_HEADER] = self.credentials.control_token

    @property
    def url(self) -> str:
        """Where the org answers, e.g. ``https://127.0.0.1:18443``."""
        return str(self.info["url"])

    @property
    def domain(self) -> str:
        """The ``domain`` of a Salesforce connection to this org."""
        return f"127.0.0.1:{self.info['port']}/sim"

    @property
    def org_id(self) -> str:
        """The org's Id, 18 characters."""
        return self.credentials.org_id

    @property
    def ca_bundle(self) -> Path:
        """The certificates to trust: the value of REQUESTS_CA_BUNDLE."""
        return self.home.ca_bundle.resolve()

    @property
    def clock(self) -> datetime:
        """The org's time (UTC)."""
        return timestamps.moment(timestamps.parse(self._control("GET", "clock")["clock"]))

    def set_clock(self, moment: datetime) -> None:
        """Set the org's time, forward or back; parts of a second are cut off.

        :param moment: an aware datetime.
        """
        self._control("PUT", "clock", {"clock": timestamps.iso(timestamps.seconds_of(moment))})

    def load_events(self, scenario: Scenario | str | Path) -> dict[str, int]:
        """Load a scenario's events; those that the org has already change nothing.

        :param scenario: a scenario, or the path of one.
        :returns: ``read``: how many there were, ``new``: how many the org did not have.
        :raises ScenarioError: if lines of it are wrong; none is loaded then.
        """
        path = scenario.path if isinstance(scenario, Scenario) else Path(scenario)
        with path.open("rb") as lines:
            answer = self._session.post(
                f"{self.url}/sim-control/events",
                data=lines,
                headers={SOURCE_HEADER: path.name.encode("ascii", "replace").decode()},
                timeout=_REQUEST_SECONDS,
            )
        if answer.status_code == 400 and "problems" in answer.json():
            raise ScenarioError(source=str(path), problems=answer.json()["problems"])
        return {key: int(value) for key, value in self._checked(answer).items()}

    def stats(self) -> dict[str, Any]:
        """Return what the org holds and how much it was used."""
        return self._control("GET", "stats")

    def set_limits(self, *, used: int | None = None, maximum: int | None = None) -> dict[str, Any]:
        """Set the API calls used within the last 24 hours, or the daily limit; None leaves it.

        :param used: calls.
        :param maximum: calls.
        """
        return self._control("PUT", "limits", {"used": used, "maximum": maximum})

    def expire_sessions(self) -> int:
        """End all sessions, and return how many there were."""
        return int(self._control("POST", "sessions/expire")["expired"])

    def set_faults(self, faults: Sequence[Fault]) -> None:
        """Replace the fault plan.

        :param faults: the rules, in order: the first that is due strikes.
        """
        self._control("PUT", "faults", {"faults": [fault.model_dump(mode="json") for fault in faults]})

    def clear_faults(self) -> None:
        """Let the org answer every request itself again."""
        self.set_faults([])

    def faults_struck(self) -> list[int]:
        """Return how often each rule of the fault plan has struck since it was set."""
        return [int(found["struck"]) for found in self._control("GET", "faults")["faults"]]

    def change_schema(self, action: str, sobject: str, field: Mapping[str, Any]) -> None:
        """Let the org's schema drift.

        :param action: add, alter, remove, hide or show.
        :param sobject: the object's name.
        :param field: describe's attributes of the field; its ``name`` at least, and its ``type`` to add one.
        :raises OrgRefused: if the change cannot be made.
        """
        self._control("POST", "schema", {"action": action, "object": sobject, "field": dict(field)})

    def connection(self, kind: str = "client_credentials") -> dict[str, Any]:
        """Return an Airflow connection to this org, ready for JSON.

        :param kind: client_credentials, password or jwt.
        :raises ValueError: if the kind is unknown.
        """
        who = self.credentials
        extra = {"domain": self.domain, "version": API_VERSION}
        if kind == "client_credentials":
            secrets = {"consumer_key": who.consumer_key, "consumer_secret": who.consumer_secret}
            return {"conn_type": "salesforce", "extra": {**extra, **secrets}}
        if kind == "password":
            extra["security_token"] = who.security_token
            return {"conn_type": "salesforce", "login": who.username, "password": who.password, "extra": extra}
        if kind == "jwt":
            key = {"consumer_key": who.consumer_key, "private_key_file_path": str(self.home.app_key.resolve())}
            return {"conn_type": "salesforce", "login": who.username, "extra": {**extra, **key}}
        raise ValueError(f"kind {kind!r} is unknown; allowed are {', '.join(CONNECTION_KINDS)}")

    def close(self) -> None:
        """Close the handle's own connections; the org goes on."""
        self._session.close()

    def _control(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        try:
            answer = self._session.request(
                method, f"{self.url}/sim-control/{path}", json=body, timeout=_REQUEST_SECONDS
            )
        except requests.ConnectionError as error:
            raise OrgNotRunning(f"no org answers at {self.url}; start it with python -m local.org serve") from error
        return self._checked(answer)

    @staticmethod
    def _checked(answer: requests.Response) -> dict[str, Any]:
        if answer.status_code >= 300:
            raise OrgRefused(f"the org answered {answer.status_code}: {answer.text}")
        found: dict[str, Any] = answer.json()
        return found


@contextmanager
def start_org(home: str | Path, *, port: int = 0) -> Iterator[OrgHandle]:
    """Run an org as a process of its own for as long as the context lasts.

    :param home: its folder; made if it is not there, gone on from if it is.
    :param port: the port on loopback; 0 for any.
    :raises OrgNotRunning: if it ends or does not answer within a minute; with what it printed.
    """
    place = Home(Path(home).resolve())
    place.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    command = [sys.executable, "-m", "local.org", "serve", "--home", str(place.root), "--port", str(port)]
    with place.log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--stop-with-input"],
            cwd=Path(__file__).resolve().parents[2],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        handle = _await_answer(place, process)
        try:
            yield handle
        finally:
            handle.close()
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdin:
            process.stdin.close()


def _await_answer(place: Home, process: subprocess.Popen[bytes]) -> OrgHandle:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        info = place.read_info()
        if info is not None and info["pid"] == process.pid:
            handle = OrgHandle(place.root)
            try:
                handle.stats()
            except OrgNotRunning:
                handle.close()
            else:
                return handle
        time.sleep(0.05)
    raise OrgNotRunning(f"the org in {place.root} did not start; it printed:\n{place.log.read_text(errors='replace')}")

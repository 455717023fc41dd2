"""The cases: what is wrong, whether a run recovers by itself or ends with which error, and what its user reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from include.salesforce.errors import (
    ApiLimitReached,
    ApiReserveReached,
    BulkJobFailed,
    CredentialsRefused,
    IncompleteRead,
    ObjectMissing,
    PermissionMissing,
    QueryTooSlow,
    SalesforceProblem,
    SessionLost,
    SourceUnavailable,
)
from include.salesforce.window import WindowRefused
from include.staging.manifest import Api
from local.faults.world import MOVED
from local.org.faults import (
    DESCRIBE,
    JOB,
    JOBS,
    LOGIN,
    PAGES,
    QUERY,
    RESULTS,
    UPDATED,
    Action,
    Advance,
    Answer,
    Drop,
    EndJob,
    ExpireSessions,
    Fault,
    Hang,
    Lose,
    Miscount,
    SetUsage,
    ShortPage,
    Skew,
    Truncate,
)

DATA = "/services/data/v*/*"
_LATER = 1_000_000
_OVER = 90_000
_SOAP_REFUSED = (
    '<?xml version="1.0"?><e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/" '
    'xmlns:sf="urn:fault.partner.soap.sforce.com"><e:Body><e:Fault><faultcode>sf:{code}</faultcode><detail><sf:LoginFault>'
    "<sf:exceptionCode>{code}</sf:exceptionCode><sf:exceptionMessage>{text}</sf:exceptionMessage></sf:LoginFault></detail>"
    "</e:Fault></e:Body></e:Envelope>"
)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One way to fail.

    :param fault: what is wrong, in words.
    :param api: by which the rows are read.
    :param faults: the fault plan, set anew before each struck run.
    :param fails: error that ends a struck run, which is then run again without the fault; None: it recovers by itself.
    :param says: text that its user reads, in the error or a warning; '' where nothing need be said.
    :param runs: the runs that are made, of `RUNS`; all of them are struck.
    :param login: kind of the connection.
    :param wrong: what of the connection is wrong until it is corrected: its secret, its port, or '' for nothing.
    :param read_timeout: seconds without a byte after which an answer is given up.
    :param most_struck: the requests that a rule may strike: how much is asked of an org that refuses.
    :param moved: the oracle's first run finds the row moved that moves while pages are read.
    """

    fault: str
    api: Api
    faults: tuple[Fault, ...] = ()
    fails: type[SalesforceProblem | WindowRefused] | None = None
    says: str = ""
    runs: tuple[int, ...] = (1, 2)
    login: str = "client_credentials"
    wrong: Literal["", "secret", "port"] = ""
    read_timeout: float = 60.0
    most_struck: int | None = None
    moved: bool = False

    @property
    def name(self) -> str:
        """The fault and the API, as one line."""
        return f"{self.fault} ({self.api})"


def page(api: Api, do: Action, *, nth: int = 1, times: int | None = 1) -> Fault:
    """A fault of a page of rows.

    :param api: by which the rows are read.
    :param do: what happens.
    :param nth: the first page that is struck.
    :param times: how many are.
    """
    if api == "rest":
        return Fault(do=do, path=QUERY, lacks="COUNT()", nth=nth, times=times)
    return Fault(do=do, path=RESULTS, nth=nth, times=times)


def all_cases() -> list[Case]:
    """Every case, by REST and by Bulk where both apply."""
    cases: list[Case] = []
    for api in ("rest", "bulk"):
        cases += [*_outages(api), *_cut_off(api), *_sessions(api), *_counts(api), *_limits(api), *_time(api)]
    return [*cases, *_jobs(), *_logins()]


def _outages(api: Api) -> Iterator[Case]:
    for status in (500, 502, 503):
        answer = Answer(status=status, message="Down")
        yield Case(
            fault=f"{status} as HTML, twice", api=api, faults=(page(api, answer, times=2),), says=f"{status}: Down"
        )
    busy = Answer(status=503, code="SERVER_UNAVAILABLE", message="Too busy")
    yield Case(fault="SERVER_UNAVAILABLE, three times", api=api, faults=(page(api, busy, times=3),), says="Too busy")
    named = Answer(status=429, code="TOO_MANY_REQUESTS", message="Slow down", retry_after="17")
    yield Case(fault="429 with Retry-After", api=api, faults=(page(api, named),), says="the next one in 17.0 s")
    unnamed = Answer(status=429, code="TOO_MANY_REQUESTS", message="Slow down")
    yield Case(fault="429 without Retry-After", api=api, faults=(page(api, unnamed),), says="the next one in 60.0 s")
    down = page(api, Answer(status=503, message="Maintenance"), times=None)
    yield Case(
        fault="503 for longer than the retries", api=api, faults=(down,), fails=SourceUnavailable, says="Tried 4 times"
    )
    metadata = tuple(Fault(do=busy, path=path) for path in (DESCRIBE, UPDATED))
    counting = Fault(do=busy, path=QUERY, contains="COUNT()", times=2)
    yield Case(fault="describe, getUpdated, count: 503", api=api, faults=(*metadata, counting), says="Too busy")


def _cut_off(api: Api) -> Iterator[Case]:
    lost = "the connection to Salesforce failed"
    yield Case(fault="connection dropped, no answer", api=api, faults=(page(api, Drop()),), says=lost)
    yield Case(fault="connection dropped mid-body", api=api, faults=(page(api, Drop(after=0.5)),), says=lost)
    gone = page(api, Drop(), times=None)
    yield Case(fault="connection always dropped", api=api, faults=(gone,), fails=SourceUnavailable, says=lost)
    yield Case(fault="hangs for minutes", api=api, faults=(page(api, Hang(seconds=300)),), says=lost, read_timeout=1.5)
    body = "JSON" if api == "rest" else "CSV"
    cut = page(api, Truncate(keep=0.6), nth=2)
    yield Case(fault=f"{body} cut, declared whole", api=api, faults=(cut,), says="Attempt 1 failed", runs=(1, 2, 3))
    packed = page(api, Truncate(keep=0.6, packed=True))
    yield Case(fault="gzip cut, declared whole", api=api, faults=(packed,), says="Attempt 1 failed")
    yield Case(fault="pages shorter than asked", api=api, faults=(page(api, ShortPage(rows=7), times=2),))


def _sessions(api: Api) -> Iterator[Case]:
    yield Case(fault="session expires between pages", api=api, faults=(page(api, ExpireSessions(), nth=2),))
    often = tuple(Fault(do=ExpireSessions(), path=DATA, nth=nth) for nth in (2, 4, 6))
    yield Case(fault="session expires three times", api=api, faults=often)
    refused = page(api, Answer(status=401, code="INVALID_SESSION_ID", message="Session expired or invalid"), times=None)
    yield Case(
        fault="session refused after the login",
        api=api,
        faults=(refused,),
        fails=SessionLost,
        says="straight after a new login",
        most_struck=2,
    )


def _counts(api: Api) -> Iterator[Case]:
    lossy = page(api, Lose(rows=3))
    says = "result holds" if api == "bulk" else "Salesforce counts"
    yield Case(fault="rows left out of a page", api=api, faults=(lossy,), says=says, runs=(1, 2, 3))
    lossy = page(api, Lose(rows=1), times=None)
    yield Case(
        fault="rows left out of every page", api=api, faults=(lossy,), fails=IncompleteRead, says=says, runs=(1, 2, 3)
    )
    more, fewer = (Fault(do=Miscount(by=by), path=QUERY, contains="COUNT()", times=None) for by in (5, -5))
    yield Case(
        fault="count finds more than the read", api=api, faults=(more,), fails=IncompleteRead, says="3 times over"
    )
    yield Case(fault="count finds fewer than the read", api=api, faults=(fewer,))


def _limits(api: Api) -> Iterator[Case]:
    used_up = Answer(status=403, code="REQUEST_LIMIT_EXCEEDED", message="TotalRequests Limit exceeded.")
    before = Fault(do=used_up, path=DATA, times=None)
    yield Case(
        fault="request limit used up before",
        api=api,
        faults=(before,),
        fails=ApiLimitReached,
        says="REQUEST_LIMIT_EXCEEDED",
        most_struck=1,
    )
    during = page(api, used_up, nth=2, times=None)
    yield Case(fault="request limit used up during", api=api, faults=(during,), fails=ApiLimitReached, most_struck=1)
    over = "90 % of the org's daily API requests are in use, over the 80 % allowed"
    early = Fault(do=SetUsage(used=_OVER), path=DATA)
    yield Case(fault="usage over the reserve before", api=api, faults=(early,), fails=ApiReserveReached, says=over)
    late = page(api, SetUsage(used=_OVER))
    yield Case(fault="usage over the reserve during", api=api, faults=(late,), fails=ApiReserveReached, says=over)
    disabled = Fault(do=Answer(status=403, code="API_DISABLED_FOR_ORG", message="API is not enabled"), path=DATA)
    yield Case(
        fault="user lacks 'API Enabled'", api=api, faults=(disabled,), fails=PermissionMissing, says="'API Enabled'"
    )
    hidden = Fault(do=Answer(status=404, code="NOT_FOUND", message="The resource does not exist"), path=DESCRIBE)
    yield Case(fault="object hidden from the user", api=api, faults=(hidden,), fails=ObjectMissing, says="grants Read")


def _time(api: Api) -> Iterator[Case]:
    slow = Answer(status=400, code="QUERY_TIMEOUT", message="Your query request was running for too long.")
    many = Answer(status=400, code="EXCEEDED_ID_LIMIT", message="Too many Ids")
    halving = "Halving the window"
    failed = EndJob(state="Failed", error="InvalidBatch : Failed to process query: QUERY_TIMEOUT: too long")
    for fault, answer in (("QUERY_TIMEOUT, three times", slow), ("EXCEEDED_ID_LIMIT, three times", many)):
        struck = page(api, answer, times=3)
        if api == "bulk":
            struck = Fault(do=failed if answer is slow else answer, path=JOBS, method="POST", times=3)
        yield Case(fault=fault, api=api, faults=(struck,), says=halving, runs=(1, 2, 3))
    counting = Fault(do=slow, path=QUERY, contains="COUNT()", times=4)
    yield Case(fault="QUERY_TIMEOUT of the count", api=api, faults=(counting,), says=halving)
    always = Fault(do=failed, path=JOBS, method="POST", times=None) if api == "bulk" else page(api, slow, times=None)
    yield Case(fault="QUERY_TIMEOUT always", api=api, faults=(always,), fails=QueryTooSlow, says="halved in time")
    for seconds, said in ((7200, "two hours ahead"), (-1800, "half an hour behind")):
        skew = Fault(do=Skew(seconds=seconds), path="*", times=None)
        yield Case(fault=f"the org's clock {said}", api=api, faults=(skew,))
    behind = Fault(do=Skew(seconds=-7200), path="*", times=None)
    says = "the future cannot be read"
    yield Case(fault="the org's clock two hours behind", api=api, faults=(behind,), fails=WindowRefused, says=says)
    lives_on = page(api, Advance(clock=MOVED)) if api == "rest" else Fault(do=Advance(clock=MOVED), path=JOBS)
    yield Case(fault="rows change while pages are read", api=api, faults=(lives_on,), moved=True)
    yield Case(fault="late commits, equal cursors at edges", api=api, says="not all committed yet")


def _jobs() -> Iterator[Case]:
    for state in ("Failed", "Aborted"):
        end = Fault(do=EndJob(state=state, error="InternalServerError : gone"), path=JOBS, method="POST")
        yield Case(fault=f"job ends {state}", api="bulk", faults=(end,), fails=BulkJobFailed, says=f"ended {state}")
    never = Fault(do=EndJob(state="InProgress"), path=JOBS, method="POST")
    yield Case(fault="job never ends", api="bulk", faults=(never,), fails=BulkJobFailed, says="has not ended")
    busy = Answer(status=503, code="SERVER_UNAVAILABLE", message="Too busy")
    created = Fault(do=busy, path=JOBS, method="POST", times=2)
    yield Case(
        fault="job creation and polling: 503", api="bulk", faults=(created, Fault(do=busy, path=JOB)), says="busy"
    )
    polled = Fault(do=ExpireSessions(), path=JOB)
    yield Case(fault="session expires while polling", api="bulk", faults=(polled,))
    deleting = Fault(do=busy, path=JOB, method="DELETE", times=3)
    yield Case(fault="job deletion: 503", api="bulk", faults=(deleting,), says="Too busy")
    lost = Answer(status=400, code="INVALID_QUERY_LOCATOR", message="invalid query locator")
    yield Case(fault="locator lost", api="bulk", faults=(page("bulk", lost, nth=2),), says="Reading again (2 of 3)")
    yield Case(fault="locator lost", api="rest", faults=(Fault(do=lost, path=PAGES),), says="Reading again (2 of 3)")


def _logins() -> Iterator[Case]:
    refused = "Check the Airflow connection"
    for login in ("client_credentials", "password"):
        yield Case(
            fault=f"wrong secret, {login}",
            api="rest",
            login=login,
            wrong="secret",
            fails=CredentialsRefused,
            says=refused,
        )
    locked = Answer(status=500, body=_SOAP_REFUSED.format(code="INVALID_LOGIN", text="INVALID_LOGIN: user locked out."))
    yield Case(
        fault="locked user, password",
        api="rest",
        login="password",
        faults=(Fault(do=locked, path=LOGIN, times=None),),
        fails=CredentialsRefused,
        says="user locked out",
        most_struck=1,
    )
    grant = Answer(status=400, body='{"error":"invalid_grant","error_description":"inactive user"}')
    yield Case(
        fault="deactivated user, client_credentials",
        api="rest",
        faults=(Fault(do=grant, path=LOGIN, times=None),),
        fails=CredentialsRefused,
        says="inactive user",
        most_struck=1,
    )
    for api in ("rest", "bulk"):
        yield Case(fault="password connection", api=api, login="password", says="retires the SOAP login")
    says = "the connection to Salesforce failed"
    yield Case(fault="connection refused", api="rest", wrong="port", fails=SourceUnavailable, says=says)
    yield Case(fault="JWT connection", api="rest", login="jwt")
    yield Case(fault="login dropped, then works", api="rest", faults=(Fault(do=Drop(), path=LOGIN),), says="logging in")
    closed = Fault(do=Drop(), path=LOGIN, times=None)
    yield Case(fault="login always dropped", api="rest", faults=(closed,), fails=SourceUnavailable, says="logging in")

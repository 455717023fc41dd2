"""Which problems need a person. Imported when a task meets one: the modules that raise them bring pyiceberg along."""

from __future__ import annotations

from include.lake.absence import SuspiciousRead
from include.lake.existence import NamespaceUnfit
from include.lake.expiry import HistoryHeld
from include.lake.layout import LayoutTooNew
from include.lake.schema_growth import IncompatibleColumn
from include.lake.watermark import ForeignOrg
from include.quality.validation import TooManyRejects
from include.salesforce.errors import SalesforceProblem
from include.salesforce.window import WindowRefused
from salesforce_history.params import ParamRefused

#: Problems that stay until a person has done something: retrying would only delay the alert.
NEEDS_A_PERSON = (
    SalesforceProblem,
    WindowRefused,
    ParamRefused,
    TooManyRejects,
    SuspiciousRead,
    ForeignOrg,
    HistoryHeld,
    IncompatibleColumn,
    LayoutTooNew,
    NamespaceUnfit,
)

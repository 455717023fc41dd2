"""The command `python -m salesforce_history.ask`."""

from __future__ import annotations

import sys

from salesforce_history.ask.questions import main

sys.exit(main())

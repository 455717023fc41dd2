"""The org's command line."""

from local.org.process import main

raise SystemExit(main())

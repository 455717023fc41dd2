"""A simulated Salesforce org.

It speaks the parts of Salesforce's REST, Bulk 2.0 and login APIs that an extraction needs, over TLS on loopback, to
unmodified clients. A scenario (a JSON-lines file) tells what happens in it, and a clock that scripts set tells when.
Start it with ``python -m local.org serve --home DIR`` or, from Python, with :func:`local.org.handle.start_org`.
"""

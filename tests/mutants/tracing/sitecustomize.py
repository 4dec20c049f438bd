"""Note which statements the process of a test opens; Python runs this at the start of each, its children's too."""

import os
import sys

TRACE = os.environ.get("STATEMENT_TRACE")


def _note(event, arguments):
    if event == "open" and isinstance(arguments[0], str) and arguments[0].endswith(".sql"):
        test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
        trace = os.open(TRACE, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(trace, f"{test}\t{arguments[0]}\n".encode())
        os.close(trace)


if TRACE:
    sys.addaudithook(_note)

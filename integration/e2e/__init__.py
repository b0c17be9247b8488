"""End-to-end tests: the binary, real stores, pyarrow as client."""

import pytest

pytest.register_assert_rewrite("harness.tables", "harness.node", "harness.client")

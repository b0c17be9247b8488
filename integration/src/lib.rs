//! Empty: this crate holds the tidy test. End-to-end tests and benchmarks stand in `integration/e2e`
//! and `integration/bench`, in Python, as a client sees the server.

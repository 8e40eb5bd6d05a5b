//! Fixtures and harnesses for tests

//! Live streams of this process: publish, subscribe, ring, derived logs, sessions, counters

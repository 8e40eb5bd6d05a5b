//! The fan-out loop: one task per core that writes shared logs to its viewers

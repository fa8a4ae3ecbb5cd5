//! Simulated machines and networks in virtual time.

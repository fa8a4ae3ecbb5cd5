//! Congestion control: how much may be in flight.

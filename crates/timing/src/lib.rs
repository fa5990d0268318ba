//! Virtual and real clock, timebase and decrementer.

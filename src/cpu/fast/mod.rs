//! Fast single-precision variants of the twins: the CPU engine.

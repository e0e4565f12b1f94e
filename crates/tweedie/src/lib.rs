//! Tweedie.

//! The application layer's protocols over any Fourwire host.

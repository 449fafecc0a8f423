//! SASL messages: what clients send us and what we send providers.

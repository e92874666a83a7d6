//! mock-capi

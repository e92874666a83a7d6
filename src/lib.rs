//! cf-pusher
